"""A picture through a model tile by tile: where the tiles lie, and how they grow together again.

Places and blending are A1111's: tiles of one size spread evenly over the picture, each overlapping its left and upper
neighbour by at least `overlap` pixels, over which a linear ramp goes from the neighbour to it. Unlike there, a picture
smaller than a tile is not padded with black.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Raster = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tiling:
    """`size` is the side of a tile in pixels of the input, 0 meaning the whole picture at once."""

    size: int = 192
    overlap: int = 8

    @property
    def effective_overlap(self) -> int:
        """At most half a tile, so that tiles always advance."""
        return min(self.overlap, self.size // 2)


@dataclass(frozen=True, slots=True)
class Span:
    """A tile's extent in one direction."""

    start: int
    length: int


def spans(length: int, tiling: Tiling) -> list[Span]:
    """The tiles over `length` pixels, evenly spread."""
    size, overlap = tiling.size, tiling.effective_overlap
    if size <= 0 or size >= length:
        return [Span(0, length)]
    count = math.ceil((length - overlap) / (size - overlap))
    step = (length - size) / (count - 1)
    return [Span(min(int(number * step), length - size), size) for number in range(count)]


def tile_count(width: int, height: int, tiling: Tiling) -> int:
    """How many tiles a picture is cut into."""
    return len(spans(width, tiling)) * len(spans(height, tiling))


def through_tiles(pixels: Raster, tiling: Tiling, scale: int, run: Callable[[Raster], Raster]) -> Raster:
    """[height, width, channels] through `run`, which enlarges a tile by `scale`."""
    height, width, channels = pixels.shape
    ramp = tiling.effective_overlap * scale
    result: Raster = np.empty((height * scale, width * scale, channels), np.uint8)
    for band in spans(height, tiling):
        rows = pixels[band.start : band.start + band.length]
        row: Raster = np.empty((band.length * scale, width * scale, channels), np.uint8)
        for span, tile in _tiles(rows, spans(width, tiling), run):
            _grow(row.swapaxes(0, 1), tile.swapaxes(0, 1), span.start * scale, ramp)
        _grow(result, row, band.start * scale, ramp)
    return result


def _tiles(rows: Raster, columns: list[Span], run: Callable[[Raster], Raster]) -> Iterator[tuple[Span, Raster]]:
    for span in columns:
        yield span, run(rows[:, span.start : span.start + span.length])


def _grow(whole: Raster, part: Raster, start: int, ramp: int) -> None:
    """Put `part` into `whole` at `start` along the first axis, its first `ramp` lines blended with what is there."""
    end = start + len(part)
    if start == 0 or ramp == 0:
        whole[start:end] = part
        return
    share = (np.arange(ramp, dtype=np.float32) / ramp)[:, None, None]
    before = whole[start : start + ramp].astype(np.float32)
    whole[start : start + ramp] = np.rint(before + (part[:ramp] - before) * share).astype(np.uint8)
    whole[start + ramp : end] = part[ramp:]
