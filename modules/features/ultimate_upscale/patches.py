"""Which parts of an enlarged picture are redrawn, each in a pass of its own, and the masks of these passes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from modules.features.ultimate_upscale.declare import (
    BAND_PASS,
    CHESS,
    HALF_TILE_AND_INTERSECTIONS,
    NOTHING,
    UltimateUpscaleArguments,
)
from modules.pictures.size import Size

_BLOCK: Final = 64


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle to be redrawn: `start` is its left upper corner, which like its end may lie outside of the picture.

    Its mask is white, or along the axes that fade (x, y) grows from black at both edges to white in the middle.
    """

    start: tuple[int, int]
    size: Size
    fades: tuple[bool, bool] = (False, False)

    def mask(self, picture: Size) -> Image.Image:
        """What is redrawn of a picture of that size: grey, white is redrawn whole."""
        across, down = (_profile(length, fades) for length, fades in zip(self.size, self.fades, strict=True))
        own = Image.fromarray(np.rint(np.outer(down, across) * 255).astype(np.uint8), "L")
        mask = Image.new("L", picture)
        mask.paste(own, self.start)
        return mask


def _profile(length: int, fades: bool) -> np.ndarray:
    """Weights 0 to 1 along one axis, (length,)."""
    if not fades:
        return np.ones(length)
    profile: np.ndarray = 1 - np.abs((2 * np.arange(length) + 1) / length - 1)
    return profile


def pass_size(patch: Size, padding: int) -> Size:
    """The size of the pass that redraws a patch of that size: with the padding, rounded up to whole blocks of 64."""
    width, height = (math.ceil((side + padding) / _BLOCK) * _BLOCK for side in patch)
    return width, height


def tile_of(picture: Size, arguments: UltimateUpscaleArguments) -> Size:
    """The size of the tiles, which are no larger than the picture."""
    tile = arguments.tile
    return min(tile[0], picture[0]), min(tile[1], picture[1])


def redrawn_tiles(picture: Size, arguments: UltimateUpscaleArguments) -> list[Patch]:
    """The tiles that the picture is cut into, in the order in which they are redrawn.

    Linear goes row by row from the left; Chess does so twice: over the fields of the colour of the left upper corner,
    then over those between them, which so see all of their neighbours redrawn.
    """
    if arguments.redraw_mode == NOTHING:
        return []
    width, height = tile_of(picture, arguments)
    fields = [(x, y) for y in range(math.ceil(picture[1] / height)) for x in range(math.ceil(picture[0] / width))]
    if arguments.redraw_mode == CHESS:
        fields.sort(key=lambda field: (field[0] + field[1]) % 2)
    return [Patch((x * width, y * height), (width, height)) for x, y in fields]


def seam_patches(picture: Size, arguments: UltimateUpscaleArguments) -> list[Patch]:
    """What is redrawn of the seams between the tiles: the upright ones, then the level ones, then where they cross."""
    if not arguments.redraws_seams:
        return []
    tile = tile_of(picture, arguments)
    columns, rows = range(tile[0], picture[0], tile[0]), range(tile[1], picture[1], tile[1])
    if arguments.seams_fix_type == BAND_PASS:
        return list(_bands(picture, columns, rows, arguments.seams_fix_width))
    return list(_half_tiles(picture, tile, columns, rows, arguments.seams_fix_type == HALF_TILE_AND_INTERSECTIONS))


def _bands(picture: Size, columns: range, rows: range, width: int) -> Iterator[Patch]:
    """A band along the whole of each seam, white on the seam."""
    for x in columns:
        yield Patch((x - width // 2, 0), (width, picture[1]), (True, False))
    for y in rows:
        yield Patch((0, y - width // 2), (picture[0], width), (False, True))


def _half_tiles(picture: Size, tile: Size, columns: range, rows: range, crossings: bool) -> Iterator[Patch]:
    """Tiles moved by half of one, so that a seam is in the middle of each; then those with a crossing in the middle."""
    width, height = tile
    for y in range(0, picture[1], height):
        yield from (Patch((x - width // 2, y), tile, (True, False)) for x in columns)
    for y in rows:
        yield from (Patch((x, y - height // 2), tile, (False, True)) for x in range(0, picture[0], width))
    if crossings:
        for y in rows:
            yield from (Patch((x - width // 2, y - height // 2), tile, (True, True)) for x in columns)
