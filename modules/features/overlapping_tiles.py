"""A picture cut into overlapping tiles, and tiles put together with ramps between them. As A1111 v1.10.1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from modules.generation.masking import Box
from modules.parameters import RequestError


@dataclass(frozen=True, slots=True)
class Tiles:
    """Where tiles of one size lie in a picture: their left edges by column, and their upper edges by row."""

    size: tuple[int, int]
    tile: tuple[int, int]
    overlap: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]

    @property
    def boxes(self) -> list[Box]:
        """Row by row, from the left."""
        width, height = self.tile
        return [(left, top, left + width, top + height) for top in self.tops for left in self.lefts]


def lay_tiles(size: tuple[int, int], tile: tuple[int, int], overlap: int) -> Tiles:
    """As few tiles as cover `size` with at least `overlap` pixels between neighbours, evenly spread.

    A tile larger than the picture is cut down to it. Raises RequestError for an overlap that leaves tiles no room.
    """
    tile = min(tile[0], size[0]), min(tile[1], size[1])
    if overlap >= min(tile):
        raise RequestError(
            f"Tiles of {tile[0]}x{tile[1]} pixels can't overlap by {overlap}: take larger ones, or less overlap."
        )
    return Tiles(size, tile, overlap, _edges(size[0], tile[0], overlap), _edges(size[1], tile[1], overlap))


def _edges(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    count = max(1, math.ceil((length - overlap) / (tile - overlap)))
    step = (length - tile) / (count - 1) if count > 1 else 0.0
    return tuple(min(int(number * step), length - tile) for number in range(count))


def join_tiles(tiles: Tiles, pictures: Sequence[Image.Image]) -> Image.Image:
    """The tiles' pictures, in the order of the boxes, as one; each fades in over what lies left of and above it."""
    joined = Image.new("RGB", tiles.size)
    columns = len(tiles.lefts)
    for number, top in enumerate(tiles.tops):
        row = Image.new("RGB", (tiles.size[0], tiles.tile[1]))
        for left, picture in zip(tiles.lefts, pictures[number * columns : (number + 1) * columns], strict=True):
            row.paste(picture, (left, 0), _fading_in(tiles.tile, tiles.overlap if left else 0, axis=1))
        joined.paste(row, (0, top), _fading_in(row.size, tiles.overlap if top else 0, axis=0))
    return joined


def _fading_in(size: tuple[int, int], overlap: int, *, axis: int) -> Image.Image:
    """White, with a ramp from black over the first `overlap` pixels along `axis` (1 is from left to right)."""
    values = np.full((size[1], size[0]), 255, dtype=np.uint8)
    ramp = (np.arange(overlap, dtype=np.float32) * 255 / max(overlap, 1)).astype(np.uint8)
    if axis == 1:
        values[:, :overlap] = ramp[None, :]
    else:
        values[:overlap] = ramp[:, None]
    return Image.fromarray(values, "L")
