"""Textual inversions in pictures: the vectors that A1111 puts into the card that it draws of a trained embedding.

They are JSON, tensors as `{"TORCHTENSOR": nested lists}`: in a PNG under the key `sd-ti-embedding` in base64, and in
any picture without loss in its pixels, so that they outlive what removes texts. There, inside a black border, the low
four bits of all channels count. Columns in which all of them are zero separate two blocks of equal size, the low
halves of bytes on the left and the high halves on the right, each XORed with a keystream. The bytes are a zlib stream.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modules.parameters.infotext_values import printable
from modules.pictures.opening import BROKEN, PictureError, read_header
from modules.pictures.png_texts import png_texts

_TEXT_KEY: Final = "sd-ti-embedding"
_TENSOR: Final = "TORCHTENSOR"
# A card is as large as the picture it was made of; a larger picture is taken for nothing but a picture.
_MOST_PIXELS: Final = 16_000_000
# Sixty vectors of SDXL fit, as the text of their numbers.
_MOST_JSON: Final = 16 << 20
# The linear congruential generator of the keystream.
_FACTOR, _STEP, _MODULUS, _RANGE = 1_664_525, 1_013_904_223, 1 << 32, 255
_LOW: Final = 0x0F
_LONGEST_NAME: Final = 200

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedVectors:
    """A picture's embedding: its name (the file's stem where it says none), and its tensors by their names."""

    name: str
    tensors: Mapping[str, NDArray[np.float32]]
    document: Mapping[str, object]
    """All that the picture says, unchecked: "step", "sd_checkpoint" and so on."""


def read_embedded_vectors(path: Path) -> EmbeddedVectors | None:
    """The textual inversion in a picture; None if it is just a picture, or can't be read as one.

    Raises:
        PictureError: it holds one that is damaged, or more data than a textual inversion has.
    """
    try:
        data = _in_texts(path)
        if data is None:
            packed = _in_pixels(path)
            data = None if packed is None else _inflated(packed, path)
    except PictureError:
        raise
    except BROKEN:
        return None
    return None if data is None else _parsed(data, path)


def _in_texts(path: Path) -> bytes | None:
    before, behind, _ = png_texts(path)
    text = before.get(_TEXT_KEY) or behind.get(_TEXT_KEY)
    if text is None:
        return None
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise _damaged(path) from error


def _in_pixels(path: Path) -> bytes | None:
    """The bytes in the pixels, the zlib stream first; None where there are no columns that could separate them."""
    with read_header(path) as image:
        if image.width * image.height > _MOST_PIXELS:
            return None
        pixels: _Bytes = np.asarray(image.convert("RGB"))
    low = _inside_border(pixels) & _LOW
    (empty,) = np.nonzero(low.max(axis=0, initial=0).max(axis=1) == 0)
    if not empty.size:
        return None
    left, right = low[:, : empty[0]], low[:, empty[-1] + 1 :]
    if left.shape != right.shape or not left.size:
        return None
    key = _keystream(left.size)
    return bytes((right.ravel() ^ key) << 4 | (left.ravel() ^ key))


def _inside_border(pixels: _Bytes) -> _Bytes:
    """Without the rows and columns at the edges in which no pixel has all three channels above zero."""
    bright = pixels.min(axis=2) > 0
    (rows,), (columns,) = np.nonzero(np.any(bright, axis=1)), np.nonzero(np.any(bright, axis=0))
    if not rows.size:
        return pixels[:0]
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _keystream(count: int) -> _Bytes:
    """The low halves of x mod 255 for the first `count` steps from 0, made by doubling: n steps are one affine map."""
    values = np.array([_STEP], dtype=np.uint64)
    factor, step = _FACTOR, _STEP
    while values.size < count:
        values = np.concatenate((values, (values * np.uint64(factor) + np.uint64(step)) % np.uint64(_MODULUS)))
        factor, step = factor * factor % _MODULUS, (factor * step + step) % _MODULUS
    return (values[:count] % np.uint64(_RANGE)).astype(np.uint8) & np.uint8(_LOW)


def _inflated(packed: bytes, path: Path) -> bytes | None:
    """The content of the stream that `packed` begins with; None if it is none, as in most pictures."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(packed, _MOST_JSON + 1)
    except zlib.error:
        return None
    if len(found) > _MOST_JSON:
        raise PictureError(f"{path.name} holds more data than a textual inversion has.")
    return found if inflater.eof else None


def _parsed(data: bytes, path: Path) -> EmbeddedVectors:
    if len(data) > _MOST_JSON:
        raise PictureError(f"{path.name} holds more data than a textual inversion has.")
    try:
        document = json.loads(data)
        held = document.get("string_to_param", document)
        tensors = {
            name: np.asarray(value[_TENSOR], dtype=np.float32)
            for name, value in held.items()
            if isinstance(value, dict) and _TENSOR in value
        }
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _damaged(path) from error
    name = document.get("name")
    named = isinstance(name, str) and name.strip() and len(name) <= _LONGEST_NAME
    return EmbeddedVectors(printable(name) if named else path.stem, tensors, document)


def _damaged(path: Path) -> PictureError:
    return PictureError(f"{path.name} holds a textual inversion that is damaged; fetch it again.")
