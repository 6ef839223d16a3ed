"""A picture and a mask as people bring them, brought to what a pass works on.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps

from modules.generation.masking import Box, box_of_ratio, fill_masked, padded_box, whole_picture_overlay_mask
from modules.generation.resizing import (
    JUST_RESIZE,
    LATENT_UPSCALE,
    RESIZE_AND_FILL,
    Resize,
    flatten,
    lanczos,
    resize_image,
)
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.pictures.masks import binary_mask, blur_mask
from modules.pictures.size import Size

ORIGINAL: Final = 1
_CELL: Final = 8

BLANK_MASK: Final = 'The mask is blank: "Only masked" has nothing to work on, so the whole picture was used.'


@dataclass(frozen=True, slots=True)
class InitPicture:
    """What a pass over a picture starts from, in pixels.

    `picture` has the size of the pass (or, in latent upscaling, its own). `mask` (grey, white is repainted) too.
    `original` is what is laid over the result again where `overlay_mask` is black; where only a part was worked on,
    `paste_to` says where that goes in `original`. `colours` has the colours to be kept, where `picture` has not.
    """

    picture: Image.Image
    mask: Image.Image | None = None
    original: Image.Image | None = None
    overlay_mask: Image.Image | None = None
    paste_to: Box | None = None
    notices: tuple[str, ...] = ()
    colours: Image.Image | None = None


def prepare_init_picture(
    resolved: ResolvedRequest,
    picture: Image.Image,
    mask: Image.Image | None,
    resize: Resize = lanczos,
    *,
    rounded: bool | None = None,
) -> InitPicture:
    """Bring picture and mask to what the pass works on. `resize` enlarges pictures; masks are always resampled.

    `rounded` False leaves drawn masks their grey; None takes what the request says.
    """
    request = resolved.request
    picture = flatten(ImageOps.exif_transpose(picture), resolved.settings.img2img.background_color)
    if mask is None:
        return InitPicture(_fitted(picture, request, resize))
    grey = binary_mask(mask, rounded=request.mask_round if rounded is None else rounded)
    if request.inpainting_mask_invert:
        grey = ImageOps.invert(grey)
    grey = blur_mask(grey, request.mask_blur_x, request.mask_blur_y)
    if request.inpaint_full_res:
        return _of_part(request, picture, _on(grey, picture.size), resize)
    return _of_whole(request, picture, grey, resize)


def _of_part(request: GenerationRequest, picture: Image.Image, mask: Image.Image, resize: Resize) -> InitPicture:
    """Only masked: the box around the mask, at the size of the pass."""
    size = (request.width, request.height)
    box = padded_box(mask, request.inpaint_full_res_padding)
    if box is None:
        return InitPicture(_fitted(picture, request, resize), notices=(BLANK_MASK,))
    box = box_of_ratio(box, size, picture.size)
    part = resize_image(RESIZE_AND_FILL, picture.crop(box), size, resize)
    part_mask = resize_image(RESIZE_AND_FILL, mask.crop(box), size).convert("L")
    return InitPicture(_content(part, part_mask, request), part_mask, picture, mask, box)


def _of_whole(request: GenerationRequest, picture: Image.Image, mask: Image.Image, resize: Resize) -> InitPicture:
    """Whole picture. In latent upscaling picture and mask keep their size, and the result has that of the pass."""
    size = (request.width, request.height)
    if request.resize_mode == LATENT_UPSCALE:
        picture = _fitted(picture, request, resize)
        mask = _on(mask, picture.size)
        over = whole_picture_overlay_mask(mask.resize(size, Image.Resampling.LANCZOS))
        return InitPicture(_content(picture, mask, request), mask, lanczos(picture, size), over)
    if request.resize_mode != JUST_RESIZE and mask.width * picture.height != mask.height * picture.width:
        # Cropped or filled up by its own proportions, it would lie elsewhere than on the picture.
        mask = _on(mask, picture.size)
    fitted = _fitted(picture, request, resize)
    mask = resize_image(request.resize_mode, mask, size).convert("L")
    return InitPicture(_content(fitted, mask, request), mask, fitted, whole_picture_overlay_mask(mask))


def _on(mask: Image.Image, size: Size) -> Image.Image:
    return mask if mask.size == size else mask.resize(size, Image.Resampling.LANCZOS)


def _fitted(picture: Image.Image, request: GenerationRequest, resize: Resize) -> Image.Image:
    if request.resize_mode == LATENT_UPSCALE:
        # The VAE makes no latent of less than one cell.
        at_least = max(_CELL, picture.width), max(_CELL, picture.height)
        return picture if picture.size == at_least else lanczos(picture, at_least)
    return resize_image(request.resize_mode, picture, (request.width, request.height), resize)


def _content(picture: Image.Image, mask: Image.Image, request: GenerationRequest) -> Image.Image:
    return picture if request.inpainting_fill == ORIGINAL else fill_masked(picture, mask)
