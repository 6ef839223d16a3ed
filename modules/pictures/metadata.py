"""What a picture says about how it was made, whoever made it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from modules.parameters.infotext_values import printable
from modules.pictures.exif import USER_COMMENT, decode_user_comment, exif_texts
from modules.pictures.foreign import foreign_infotext

# Only formats of pictures: some of Pillow's others start programs or follow paths.
FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
# Beyond this many pixels the texts behind a PNG's pixels are not looked for.
_MOST_PIXELS_TO_DECODE: Final = 64_000_000
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
_COMFY_TAGS: Final = ("prompt", "workflow")


class PictureError(ValueError):
    """A file that is no picture we can read. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """`infotext` is empty where none was found; `items` are all other texts, by their key in the file."""

    infotext: str
    items: dict[str, str]
    width: int
    height: int
    format: str


def read_metadata(source: bytes | Path) -> ImageMetadata:
    """Read the infotext and every other text of a picture without decoding its pixels, where the format allows it.

    PNG texts, EXIF UserComment (which wins, as in A1111) and GIF and JPEG comments are read; where there is no
    infotext, it is made from what NovelAI, InvokeAI or ComfyUI left. Raises PictureError.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            texts = dict(_texts(image))
            if image.format == "PNG" and not texts and image.width * image.height <= _MOST_PIXELS_TO_DECODE:
                texts = dict(_texts_behind_pixels(image))
            size, form = image.size, image.format or ""
    except BROKEN as error:
        raise unreadable("The file" if isinstance(source, bytes) else source.name) from error
    infotext = texts.pop("parameters", "")
    infotext = texts.get("exif comment", "").strip() or infotext or foreign_infotext(texts, size)
    infotext = infotext or texts.get("comment", "")
    return ImageMetadata(infotext, texts, size[0], size[1], form)


def unreadable(name: str) -> PictureError:
    """The sentence for a file that is no picture."""
    return PictureError(f"{name} can't be read as a picture: it is damaged or of another kind.")


def _texts(image: Image.Image) -> Iterator[tuple[str, str]]:
    for key, value in image.info.items():
        if isinstance(key, str) and isinstance(value, str):
            yield key, printable(str(value))
    comment = image.info.get("comment")
    if isinstance(comment, bytes):
        yield "comment", comment.decode("utf-8", "replace").strip("\0")
    exif = image.info.get("exif")
    if isinstance(exif, bytes):
        yield from _exif(exif)


def _exif(block: bytes) -> Iterator[tuple[str, str]]:
    for tag, raw in exif_texts(block).items():
        if tag == USER_COMMENT:
            yield "exif comment", printable(decode_user_comment(raw))
            continue
        # ComfyUI's WebP files: `prompt:{...}` and `workflow:{...}` in the fields for the camera.
        key, colon, value = raw.decode("utf-8", "replace").strip("\0").partition(":")
        if colon and key in _COMFY_TAGS:
            yield key, value


def _texts_behind_pixels(image: Image.Image) -> Iterator[tuple[str, str]]:
    try:
        image.load()
    except BROKEN:
        return
    yield from _texts(image)
