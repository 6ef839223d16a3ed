"""What a picture says about how it was made, whoever made it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from modules.parameters.infotext_values import printable
from modules.pictures.exif import USER_COMMENT, decode_user_comment, exif_texts
from modules.pictures.foreign import foreign_infotext
from modules.pictures.foreign_values import json_object
from modules.pictures.opening import BROKEN, read_header, unreadable
from modules.pictures.png_texts import png_texts
from modules.pictures.xmp_rating import rating_in

_COMFY_TAGS: Final = ("prompt", "workflow")


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """`infotext` is empty where none was found; `items` are all other texts, by key; `rating` is XMP's, 0 for none."""

    infotext: str
    items: dict[str, str]
    width: int
    height: int
    format: str
    rating: int = 0


def read_metadata(source: bytes | Path) -> ImageMetadata:
    """Read the infotext and every other text of a picture of any size, without decoding its pixels.

    PNG texts, EXIF UserComment (which wins, as in A1111) and GIF and JPEG comments are read; where there is no
    infotext, it is made from what another program left. Texts that stand behind a PNG's pixels count where there is
    no infotext before them. Raises PictureError.
    """
    behind: dict[str, str] = {}
    try:
        with read_header(source) as image:
            texts = dict(_texts(image))
            if image.format == "PNG":
                before, behind = _png_texts(source)
                texts.update(before)
            size, form = image.size, image.format or ""
            rating = rating_in(image.info.get("xmp"))
    except BROKEN as error:
        raise unreadable("The file" if isinstance(source, bytes) else source.name) from error
    infotext = _infotext(texts, size)
    if not infotext and behind:
        texts = {**behind, **texts}
        infotext = _infotext(texts, size)
    # Another program's JSON under this key is shown beside the infotext that was made of it.
    if not json_object(texts.get("parameters")):
        texts.pop("parameters", None)
    return ImageMetadata(infotext or texts.get("comment", ""), texts, size[0], size[1], form, rating)


def _infotext(texts: dict[str, str], size: tuple[int, int]) -> str:
    """A1111's infotext if there is one, else one made of another program's texts; empty when there is neither."""
    own = texts.get("exif comment", "").strip() or texts.get("parameters", "")
    return foreign_infotext(texts, size) if json_object(own) or not own else own


def _png_texts(source: bytes | Path) -> tuple[dict[str, str], dict[str, str]]:
    """Texts before and behind the pixels, those of EXIF behind them included."""
    before, behind, exif = png_texts(io.BytesIO(source) if isinstance(source, bytes) else source)
    behind.update(_exif(exif))
    return _printable(before), _printable(behind)


def _printable(texts: dict[str, str]) -> dict[str, str]:
    return {printable(key): printable(text) for key, text in texts.items()}


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
