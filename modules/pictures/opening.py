"""The one place where foreign bytes are opened as a picture: looked at before they are decoded, then made 8-bit RGB(A).

Of Pillow's plugins only those of picture formats are used: some of its others start programs or follow paths.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
MOST_PIXELS: Final = 64_000_000
# A picture of 64 megapixels with 8 bits a channel fits however badly it compresses.
MOST_BYTES: Final = 4 * MOST_PIXELS
# What Pillow raises for files that are cut short, damaged or made to do harm.
BROKEN: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)
# EXIF orientations that exchange width and height.
_LYING: Final = frozenset({5, 6, 7, 8})
_ORIENTATION: Final = 0x0112
_LONGEST_PREFIX: Final = 16


class PictureError(ValueError):
    """A file that is no picture we can read. The message is one sentence."""


def read_header(source: bytes | Path) -> Image.Image:
    """A picture of any size in one of `FORMATS`, its pixels not decoded yet; as a context manager it closes its file.

    Raises one of `BROKEN`. Whoever decodes the pixels has to look at the size first: `open_picture` does.
    """
    # Not Image.open: it refuses by the number of pixels, also where nobody wants pixels.
    Image.init()
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        prefix = file.read(_LONGEST_PREFIX)
    for name in FORMATS:
        factory, accepts = Image.OPEN[name]
        # An answer in words says why the format is not available.
        if accepts is not None and accepts(prefix) is not True:
            continue
        try:
            # Pillow's plugins take paths as well, which they open and close themselves; the registry's type omits it.
            opened = cast(IO[bytes], str(source)) if isinstance(source, Path) else io.BytesIO(source)
            image: Image.Image = factory(opened, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
        return image
    raise UnidentifiedImageError("not a picture of a known format")


def picture_size(data: bytes, what: str, *, most_pixels: int | None = MOST_PIXELS) -> tuple[int, int]:
    """Width and height of the upright picture, from its header alone. Raises PictureError naming `what`.

    `most_pixels` is None where nobody is going to decode the pixels.
    """
    image = _opened(data, what, most_pixels)
    try:
        lying = image.getexif().get(_ORIENTATION) in _LYING
    except BROKEN:
        lying = False
    return (image.height, image.width) if lying else image.size


def open_picture(data: bytes, what: str) -> Image.Image:
    """Decode a picture as RGB, or RGBA where it has transparency: upright, 8 bits a channel, the first of its frames.

    Raises PictureError naming `what`, before decoding where there is no picture or one of more than 64 megapixels.
    """
    image = _opened(data, what, MOST_PIXELS)
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return eight_bits(upright)
    except BROKEN as error:
        raise PictureError(f"{what} is damaged or cut short: open it in another program and save it again.") from error


def is_animated(data: bytes) -> bool:
    """Whether the file holds several frames, of which the first is used."""
    try:
        with read_header(data) as image:
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


def unreadable(name: str) -> PictureError:
    """The sentence for a file that is no picture."""
    return PictureError(f"{name} can't be read as a picture: it is damaged or of another kind.")


def _opened(data: bytes, what: str, most_pixels: int | None) -> Image.Image:
    try:
        image = read_header(data)
    except BROKEN as error:
        kinds = "PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF"
        raise PictureError(f"{what} can't be read as a picture: it has to be {kinds}.") from error
    if most_pixels is not None and image.width * image.height > most_pixels:
        size = f"{image.width}x{image.height}, more than {most_pixels // 10**6} megapixels"
        raise PictureError(f"{what} is {size}: make it smaller first.")
    return image
