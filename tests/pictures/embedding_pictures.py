"""Pictures with a textual inversion in them, made by the format's description alone."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def document(tensors: Mapping[str, Any], name: str | None = "ink") -> bytes:
    """The JSON of an embedding, tensors as nested lists."""
    held = {key: {"TORCHTENSOR": values} for key, values in tensors.items()}
    return json.dumps({"string_to_token": {"*": 265}, "string_to_param": held, "name": name, "step": 5}).encode()


def write_text_picture(path: Path, data: bytes) -> Path:
    """A PNG with the embedding in its texts."""
    texts = PngInfo()
    texts.add_text("sd-ti-embedding", base64.b64encode(data).decode())
    Image.new("RGB", (16, 16), "red").save(path, pnginfo=texts)
    return path


def write_pixel_picture(path: Path, data: bytes, *, compressed: bool = True, rows: int = 32) -> Path:
    """A picture with the embedding in the low bits of two blocks, inside a black border; saved without loss."""
    stream = zlib.compress(data) if compressed else data
    columns = -(-len(stream) // (rows * 3))
    stream += bytes(range(256)) * ((rows * columns * 3 - len(stream)) // 256 + 1)
    values = np.frombuffer(stream[: rows * columns * 3], np.uint8).reshape(rows, columns, 3)
    key = np.array(_keystream(values.size), np.uint8).reshape(values.shape)
    low, high = (values & 15) ^ key, (values >> 4) ^ key
    middle = np.full((rows, 3, 3), 240, np.uint8)
    bright = np.full(values.shape, 160, np.uint8)
    card = np.concatenate([bright | low, middle, bright | high], axis=1)
    framed = np.zeros((rows + 10, card.shape[1] + 6, 3), np.uint8)
    framed[4 : 4 + rows, 2:-4] = card
    # The border isn't quite black: what was drawn over it has one channel at zero.
    framed[1, :, 0] = 7
    options: dict[str, Any] = {".webp": {"lossless": True, "exact": True}}.get(path.suffix, {})
    Image.fromarray(framed).save(path, **options)
    return path


def _keystream(count: int) -> list[int]:
    value, found = 0, []
    for _ in range(count):
        value = (1_664_525 * value + 1_013_904_223) % 2**32
        found.append(value % 255 & 15)
    return found
