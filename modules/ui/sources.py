"""What img2img starts from: the picture and the painting on the open sub-tab, as the pictures a job takes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops

from modules.gallery import PictureError
from modules.gallery.opening import open_picture, picture_size
from modules.parameters import RequestError
from modules.ui.shelf import PictureShelf

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
_NO_MASK: Final = "There is no mask on the Inpaint upload tab: drop one there; what is white in it is repainted."
_BLANK: Final = 'The mask leaves nothing to repaint: it is all {colour} and Mask mode is "{mode}".'


@dataclass(frozen=True, slots=True)
class Source:
    """The pictures of a job as files. `size` is that of the upright picture; `notice` is what has to be said."""

    picture: bytes
    size: tuple[int, int]
    mask: bytes | None = None
    notice: str = ""


def read_source(shelf: PictureShelf, told: Mapping[str, str | None], *, inverted: bool = False) -> Source:
    """The source that the page's scripts describe. Raises RequestError with one sentence.

    In `told`, `tab` names the sub-tab, and `picture`, `paint` and `mask` are digests on the shelf. `inverted` says
    whether the mask counts the other way round.
    """
    if told.get("error"):
        raise RequestError(str(told["error"]))
    tab = str(told.get("tab", "img2img"))
    try:
        return _source(shelf, tab, told, inverted=inverted)
    except PictureError as error:
        raise RequestError(str(error)) from error


def _source(shelf: PictureShelf, tab: str, told: Mapping[str, str | None], *, inverted: bool) -> Source:
    if not told.get("picture"):
        raise RequestError(_NO_PICTURE.format(title=TITLES.get(tab, tab)))
    data = shelf.get(str(told["picture"]))
    size = picture_size(data, "The picture")
    paint = open_picture(shelf.get(str(told["paint"])), "The painting") if told.get("paint") else None
    match tab:
        case "sketch" if paint is not None:
            return Source(png(painted(open_picture(data, "The picture"), paint)), size)
        case "inpaint" | "inpaint_sketch":
            if paint is None:
                raise RequestError(_NOT_PAINTED)
            mask = _usable(paint_mask(paint), inverted=inverted, blank=_NOT_PAINTED)
            if tab == "inpaint":
                return Source(data, size, png(mask))
            return Source(png(painted(open_picture(data, "The picture"), paint)), size, png(mask))
        case "inpaint_upload":
            if not told.get("mask"):
                raise RequestError(_NO_MASK)
            return masked_source(data, size, shelf.get(str(told["mask"])), inverted=inverted)
    return Source(data, size)


def masked_source(data: bytes, size: tuple[int, int], mask: bytes, *, inverted: bool) -> Source:
    """A picture with a mask file. Raises PictureError, and RequestError for a mask that leaves nothing to repaint."""
    image = open_picture(mask, "The mask")
    _usable(grey_mask(image), inverted=inverted)
    if image.size == size:
        return Source(data, size, mask)
    wide, high = image.size
    told = f"The mask is {wide}x{high}: it was stretched to the picture's {size[0]}x{size[1]}."
    return Source(data, size, mask, told)


def _usable(mask: Image.Image, *, inverted: bool, blank: str | None = None) -> Image.Image:
    low, high = mask.getextrema()
    if inverted and int(str(low)) > 128:
        raise RequestError(_BLANK.format(colour="white", mode="Inpaint not masked"))
    if not inverted and int(str(high)) <= 128:
        raise RequestError(blank or _BLANK.format(colour="black", mode="Inpaint masked"))
    return mask


def grey_mask(mask: Image.Image) -> Image.Image:
    """A mask file as grey: its alpha channel where that says something, else its brightness."""
    if mask.mode == "RGBA" and mask.getchannel("A").getextrema() != (255, 255):
        return mask.getchannel("A")
    return mask.convert("L")


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


def png(image: Image.Image) -> bytes:
    """`image` as a file for the job."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
