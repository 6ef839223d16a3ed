"""From a decoded picture to what is saved: colours, its place, the original laid over, and the pictures beside it.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from PIL import Image

from modules.gallery import DETECTED_MAP
from modules.generation.colour_correction import match_colours
from modules.generation.init_picture import InitPicture
from modules.generation.masking import overlay_of, uncropped
from modules.generation.resizing import RESIZE_AND_FILL, resize_image
from modules.parameters.job_options import JobOptions
from modules.parameters.output_options import SavedImages


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture as it is saved, and what may be saved or shown beside it, by the suffix of its file.

    `facts` are infotext keys of this picture.
    """

    picture: Image.Image
    beside: Mapping[str, Image.Image]
    facts: Mapping[str, object] = field(default_factory=dict)


def is_saved(kind: str, saved: SavedImages, *, saves_maps: bool) -> bool:
    """Whether a picture beside another is saved; else it is only shown. Most are saved whenever they are made.

    `saves_maps` is for those that ControlNet made.
    """
    if kind.startswith(DETECTED_MAP):
        return saves_maps
    return {"mask": saved.mask, "mask-composite": saved.mask_composite}.get(kind, True)


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
    image: Image.Image, source: InitPicture, settings: JobOptions, overlay_mask: Image.Image | None = None
) -> Finished:
    """`finish` by the job's options, with the pictures beside it that they want."""
    mask = overlay_mask or source.overlay_mask
    over = mask if settings.img2img.overlay_inpaint else None
    beside: dict[str, Image.Image] = {}
    if settings.img2img.color_correction:
        if settings.saved.before_color_correction:
            beside["before-color-correction"] = _laid_over(image, source, over)[0]
        image = match_colours(image, source.colours or source.picture)
    picture, made = _laid_over(image, source, over)
    if mask is not None:
        beside |= dict(_about_mask(made, mask, settings.saved))
    return Finished(picture, beside)


def _about_mask(made: Image.Image, mask: Image.Image, saved: SavedImages) -> Iterator[tuple[str, Image.Image]]:
    """The mask, and what was made with everything but the masked part transparent."""
    if saved.return_mask or saved.mask:
        yield "mask", mask.convert("RGB")
    if saved.return_mask_composite or saved.mask_composite:
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
