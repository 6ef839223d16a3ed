"""Pictures that people bring: looked at before they are decoded, and brought to the form that everything works with."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from modules.pictures.metadata import BROKEN, FORMATS, PictureError

MOST_PIXELS: Final = 64_000_000
# A picture of 64 megapixels with 8 bits a channel fits however badly it compresses.
MOST_BYTES: Final = 4 * MOST_PIXELS
# EXIF orientations that exchange width and height.
_LYING: Final = frozenset({5, 6, 7, 8})
_ORIENTATION: Final = 0x0112


def picture_size(data: bytes, what: str) -> tuple[int, int]:
    """Width and height of the upright picture, from its header alone. Raises PictureError naming `what`."""
    image = _opened(data, what)
    try:
        lying = image.getexif().get(_ORIENTATION) in _LYING
    except BROKEN:
        lying = False
    return (image.height, image.width) if lying else image.size


def open_picture(data: bytes, what: str) -> Image.Image:
    """Decode a picture as RGB, or RGBA where it has transparency: upright, 8 bits a channel, the first of its frames.

    Raises PictureError naming `what`, before decoding where there is no picture or one of more than 64 megapixels.
    """
    image = _opened(data, what)
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return eight_bits(upright)
    except BROKEN as error:
        raise PictureError(f"{what} is damaged or cut short: open it in another program and save it again.") from error


def is_animated(data: bytes) -> bool:
    """Whether the file holds several frames, of which the first is used."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return getattr(image, "n_frames", 1) > 1
    except BROKEN:
        return False


def eight_bits(image: Image.Image) -> Image.Image:
    """`image` as RGB or RGBA. Pillow's own conversion cuts 16 bits off at 255, so those are scaled here."""
    if image.mode.startswith(("I;16", "I")):
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=255.0, neginf=0.0)
        scaled = values * 255 if values.size and values.max() <= 1 else values
        return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _opened(data: bytes, what: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(f"{what} has more than {MOST_PIXELS // 10**6} megapixels: make it smaller first.") from error
    except BROKEN as error:
        kinds = "PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF"
        raise PictureError(f"{what} can't be read as a picture: it has to be {kinds}.") from error
    if image.width * image.height > MOST_PIXELS:
        told = f"{image.width}x{image.height}, more than {MOST_PIXELS // 10**6} megapixels"
        raise PictureError(f"{what} is {told}: make it smaller first.")
    return image
