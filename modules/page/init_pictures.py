"""What img2img starts from: the picture and the painting on the open sub-tab, as the pictures a job takes."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from modules.page.uploads import UploadStore
from modules.parameters import RequestError
from modules.pictures import PictureError
from modules.pictures.masks import binary_mask, blur_mask, grey_range
from modules.pictures.opening import open_picture, picture_size

# The sub-tabs that start from one picture, in A1111's order, with their titles. Two of them paint in colour.
TITLES: Final = {
    "img2img": "img2img",
    "sketch": "Sketch",
    "inpaint": "Inpaint",
    "inpaint_sketch": "Inpaint sketch",
    "inpaint_upload": "Inpaint upload",
}
MASKED: Final = frozenset({"inpaint", "inpaint_sketch", "inpaint_upload"})
_NO_PICTURE: Final = "There is no picture on the {title} tab: drop one there, or send one from a gallery."
_NOT_PAINTED: Final = "Nothing is painted: paint over what should change, or use the img2img tab to change everything."
_TRANSPARENT: Final = "Mask transparency leaves nothing of the painting: lower it to below 50."
_NO_MASK: Final = "There is no mask on the Inpaint upload tab: drop one there; what is white in it is repainted."
_BLANK: Final = 'The mask leaves nothing to repaint: it is all {colour} and Mask mode is "{mode}".'


@dataclass(frozen=True, slots=True)
class CanvasPicture:
    """The pictures of a job as files. `size` is that of the upright picture; `notice` is what has to be said."""

    picture: bytes
    size: tuple[int, int]
    mask: bytes | None = None
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Masking:
    """What the form says of masks: `inverted` that they count the other way round; the blur in pixels, the share of the
    painting on Inpaint sketch that shows through in percent."""

    inverted: bool = False
    blur: float = 4
    transparency: float = 0


AS_PAINTED: Final = Masking()


def read_source(uploads: UploadStore, slots: Mapping[str, str | None], masking: Masking = AS_PAINTED) -> CanvasPicture:
    """The source that the page's scripts describe. Raises RequestError with one sentence.

    In `slots`, `tab` names the sub-tab, and `picture`, `paint` and `mask` are digests of uploads.
    """
    if slots.get("error"):
        raise RequestError(str(slots["error"]))
    tab = str(slots.get("tab", "img2img"))
    try:
        return _source(uploads, tab, slots, masking)
    except PictureError as error:
        raise RequestError(str(error)) from error


def _source(uploads: UploadStore, tab: str, slots: Mapping[str, str | None], masking: Masking) -> CanvasPicture:
    if not slots.get("picture"):
        raise RequestError(_NO_PICTURE.format(title=TITLES.get(tab, tab)))
    data = uploads.get(str(slots["picture"]))
    size = picture_size(data, "The picture")
    paint = open_picture(uploads.get(str(slots["paint"])), "The painting") if slots.get("paint") else None
    match tab:
        case "sketch" if paint is not None:
            return CanvasPicture(png(painted(open_picture(data, "The picture"), paint)), size)
        case "inpaint" | "inpaint_sketch" if paint is None:
            raise RequestError(_NOT_PAINTED)
        case "inpaint" if paint is not None:
            return CanvasPicture(
                data, size, png(_usable(paint_mask(paint), inverted=masking.inverted, blank=_NOT_PAINTED))
            )
        case "inpaint_sketch" if paint is not None:
            picture, mask = sketched(open_picture(data, "The picture"), paint, masking)
            blank = _TRANSPARENT if masking.transparency else _NOT_PAINTED
            return CanvasPicture(png(picture), size, png(_usable(mask, inverted=masking.inverted, blank=blank)))
        case "inpaint_upload":
            if not slots.get("mask"):
                raise RequestError(_NO_MASK)
            return masked_source(data, size, uploads.get(str(slots["mask"])), inverted=masking.inverted)
    return CanvasPicture(data, size)


def masked_source(data: bytes, size: tuple[int, int], mask: bytes, *, inverted: bool) -> CanvasPicture:
    """A picture with a mask file. Raises PictureError, and RequestError for a mask that leaves nothing to repaint."""
    image = open_picture(mask, "The mask")
    _usable(binary_mask(image, rounded=False), inverted=inverted)
    if image.size == size:
        return CanvasPicture(data, size, mask)
    wide, high = image.size
    notice = f"The mask is {wide}x{high}: it was stretched to the picture's {size[0]}x{size[1]}."
    return CanvasPicture(data, size, mask, notice)


def _usable(mask: Image.Image, *, inverted: bool, blank: str | None = None) -> Image.Image:
    low, high = grey_range(mask)
    if inverted and low > 128:
        raise RequestError(_BLANK.format(colour="white", mode="Inpaint not masked"))
    if not inverted and high <= 128:
        raise RequestError(blank or _BLANK.format(colour="black", mode="Inpaint masked"))
    return mask


def paint_mask(paint: Image.Image) -> Image.Image:
    """White where something is painted, at least half of it."""
    alpha = paint.getchannel("A") if paint.mode == "RGBA" else Image.new("L", paint.size, 255)
    return alpha.point(lambda value: 255 if value > 128 else 0)


def painted(picture: Image.Image, paint: Image.Image) -> Image.Image:
    """`picture` with the painting over it; where nothing is painted, its pixels to the bit."""
    if paint.mode != "RGBA":
        return paint
    if paint.size != picture.size:
        paint = paint.resize(picture.size, Image.Resampling.NEAREST)
    alpha = paint.getchannel("A")
    result = picture.copy()
    result.paste(paint.convert("RGB"), mask=alpha)
    if result.mode == "RGBA":
        result.putalpha(ImageChops.lighter(picture.getchannel("A"), alpha))
    return result


def sketched(picture: Image.Image, paint: Image.Image, masking: Masking) -> tuple[Image.Image, Image.Image]:
    """Picture and mask of Inpaint sketch, as A1111 makes them.

    The mask is what the painting changed, as dark as it is transparent; the picture has the painting in it, both and
    their seam softened by the mask's blur.
    """
    coloured = painted(picture, paint)
    bands = ImageChops.difference(coloured, picture).split()
    changed = functools.reduce(ImageChops.lighter, bands).point(lambda value: 255 if value else 0)
    mask = ImageEnhance.Brightness(changed).enhance(1 - masking.transparency / 100)
    soft = ImageFilter.GaussianBlur(masking.blur)
    # Pillow's Gaussian has a longer tail than that of masks: beyond theirs the picture's own bits stay.
    reached = blur_mask(mask, masking.blur, masking.blur).point(lambda value: 255 if value else 0)
    seam = ImageChops.darker(mask.filter(soft), reached)
    return Image.composite(coloured.filter(soft), picture, seam), mask


def png(image: Image.Image) -> bytes:
    """`image` as a file for the job."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
