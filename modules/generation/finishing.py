"""From a decoded picture to what is saved: colours, its place, the original laid over, and the pictures beside it.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from modules.generation.colour_correction import match_colours
from modules.generation.init_picture import InitPicture
from modules.generation.masking import overlay_of, uncropped
from modules.generation.resizing import RESIZE_AND_FILL, resize_image


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture as it is saved, and what may be saved or shown beside it, by the suffix of its file.

    `facts` are infotext keys of this picture.
    """

    picture: Image.Image
    beside: Mapping[str, Image.Image]
    facts: Mapping[str, object] = field(default_factory=dict)


# What is saved beside a picture, and which option says so; the others are saved whenever they are made.
_SAVED_BY: Final = {"mask": "save_mask", "mask-composite": "save_mask_composite"}


def is_saved(kind: str, options: Mapping[str, object]) -> bool:
    """Whether a picture beside another is saved; else it is only shown."""
    return kind not in _SAVED_BY or bool(options.get(_SAVED_BY[kind], False))


def finish(
    image: Image.Image,
    source: InitPicture,
    *,
    correct_colours: bool = False,
    lay_over: bool = True,
    overlay_mask: Image.Image | None = None,
) -> Image.Image:
    """The decoded picture as it is saved. Where the overlay's mask is black it is the source's, to the bit."""
    mask = overlay_mask or source.overlay_mask
    if correct_colours:
        image = match_colours(image, source.colours or source.picture)
    return _laid_over(image, source, mask if lay_over else None)[0]


def finished(
    image: Image.Image, source: InitPicture, options: Mapping[str, object], overlay_mask: Image.Image | None = None
) -> Finished:
    """`finish` by the job's options, with the pictures beside it that they ask for."""
    mask = overlay_mask or source.overlay_mask
    over = mask if options.get("overlay_inpaint", True) else None
    beside: dict[str, Image.Image] = {}
    if options.get("img2img_color_correction"):
        if options.get("save_images_before_color_correction"):
            beside["before-color-correction"] = _laid_over(image, source, over)[0]
        image = match_colours(image, source.colours or source.picture)
    picture, made = _laid_over(image, source, over)
    if mask is not None:
        beside |= dict(_about_mask(made, mask, options))
    return Finished(picture, beside)


def _about_mask(
    made: Image.Image, mask: Image.Image, options: Mapping[str, object]
) -> Iterator[tuple[str, Image.Image]]:
    """The mask, and what was made with everything but the masked part transparent."""
    if options.get("return_mask") or options.get("save_mask"):
        yield "mask", mask.convert("RGB")
    if options.get("return_mask_composite") or options.get("save_mask_composite"):
        fitted = resize_image(RESIZE_AND_FILL, mask, made.size).convert("L")
        nothing = Image.new("RGBa", made.size)
        yield "mask-composite", Image.composite(made.convert("RGBA").convert("RGBa"), nothing, fitted).convert("RGBA")


def _laid_over(image: Image.Image, source: InitPicture, mask: Image.Image | None) -> tuple[Image.Image, Image.Image]:
    """(the picture with the original over it, what was made in its place). Without a mask nothing is laid over."""
    if mask is None or source.original is None:
        return image, image
    if source.paste_to is not None:
        image = uncropped(image, source.original.size, source.paste_to)
    result = image.convert("RGBA")
    result.alpha_composite(overlay_of(source.original, mask))
    return result.convert("RGB"), image
