"""A large picture through the VAE in overlapping tiles, so that its memory does not grow with the picture.

Group norms see a tile instead of the picture, so the result is close to that of one piece and not equal to it: tiles
are for what would not fit. They are as large as the memory allows, each sees its neighbours' cells at the seams, and
the seams are ramps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from modules.hardware.budget import CPU_MEMORY
from modules.hardware.device import compute_device
from modules.hardware.model_configs import VaeModule, vae_config

# In latent cells: what a tile sees beyond what it makes, and the stretch over which two of them are mixed.
MARGIN: Final = 8
RAMP: Final = 8
SMALLEST: Final = 64

# Measured for SD 1.5's VAE, 256 channels on its second level: 985 numbers a pixel at the highest point of decoding.
_NUMBERS: Final = 4


@dataclass(frozen=True, slots=True)
class CellSpan:
    """One tile along one side, in cells: what it is given, and where in that its ramps and its own part lie."""

    start: int
    stop: int
    first: bool
    last: bool

    def weights(self) -> Tensor:
        """What each cell of the tile counts: 0 in the margin, rising over the ramp, 1 within."""
        rise = torch.cat([torch.zeros(MARGIN), (torch.arange(RAMP) + 1) / (RAMP + 1)])
        weights = torch.ones(self.stop - self.start)
        if not self.first:
            weights[: len(rise)] = rise
        if not self.last:
            weights[-len(rise) :] = rise.flip(0)
        return weights


def spans(length: int, tile: int) -> tuple[CellSpan, ...]:
    """Tiles of at most `tile` cells over `length` of them, evenly spread; neighbours share two margins and a ramp."""
    shared = 2 * MARGIN + RAMP
    count = 1 if length <= tile else math.ceil((length - shared) / (tile - shared))
    size = min(length, math.ceil((length - shared) / count) + shared)
    starts = [round(i * (length - size) / max(count - 1, 1)) for i in range(count)]
    return tuple(CellSpan(at, at + size, i == 0, i == count - 1) for i, at in enumerate(starts))


def bytes_per_pixel(vae: VaeModule) -> int:
    """What one pixel takes at the highest point of decoding; encoding takes less."""
    widths = vae_config(vae).block_out_channels
    numbers = int(_NUMBERS * max(widths[:2]))
    return numbers * int(next(vae.parameters()).element_size())


def largest_tile(vae: VaeModule, memory: int, factor: int) -> int:
    """The side of the largest square tile that `memory` bytes allow, in cells of `factor` pixels."""
    return max(SMALLEST, math.isqrt(memory // bytes_per_pixel(vae)) // factor)


def fits(vae: VaeModule, width: int, height: int, memory: int) -> bool:
    """Whether a picture of this size in pixels can be made in one piece."""
    return width * height * bytes_per_pixel(vae) <= memory


def tile_side(vae: VaeModule, width: int, height: int) -> int | None:
    """The tile, in cells a side, in which a picture of this size in pixels is made from the start; None for one piece.

    Only a CPU has one: elsewhere memory is planned for the job, and one piece is tried first.
    """
    if compute_device(vae).type != "cpu" or fits(vae, width, height, CPU_MEMORY):
        return None
    return largest_tile(vae, CPU_MEMORY, pixels_per_cell(vae))


def pixels_per_cell(vae: VaeModule) -> int:
    """Pixels along one side of a latent cell."""
    return 1 << (len(vae_config(vae).block_out_channels) - 1)


def edges_are_joined(vae: VaeModule) -> bool:
    """Whether the VAE makes pictures that continue over their own edges (see `tiling`)."""
    mode: str = vae.decoder.conv_in.padding_mode
    return mode == "circular"


def in_tiles(
    once: Callable[[Tensor], Tensor], given: Tensor, tile: int, *, unit: int, made: int, joined: bool = False
) -> Tensor:
    """`once` over tiles of `given` (1, channels, height, width) of at most `tile` cells a side, mixed to one result.

    A cell is `unit` numbers of `given` a side and `made` of the result. With `joined` edges, as tiling pictures have
    them, a tile at an edge sees the opposite one. Returns float32, where `once` gives its answers.
    """
    if joined:
        rim = 2 * MARGIN
        wrapped = pad(given, [rim * unit] * 4, mode="circular")
        whole = in_tiles(once, wrapped, tile, unit=unit, made=made)
        return whole[..., rim * made : -rim * made, rim * made : -rim * made]
    rows, columns = spans(given.shape[2] // unit, tile), spans(given.shape[3] // unit, tile)
    result: Tensor | None = None
    total: Tensor | None = None
    for row in rows:
        for column in columns:
            part = once(given[..., row.start * unit : row.stop * unit, column.start * unit : column.stop * unit])
            weights = _stretched(row, made)[:, None] * _stretched(column, made)[None, :]
            weights = weights.to(part.device)
            if result is None or total is None:
                size = given.shape[2] // unit * made, given.shape[3] // unit * made
                result = torch.zeros(1, part.shape[1], *size, device=part.device)
                total = torch.zeros(size, device=part.device)
            place = (slice(row.start * made, row.stop * made), slice(column.start * made, column.stop * made))
            result[(..., *place)] += part.float() * weights
            total[place] += weights
    assert result is not None and total is not None
    return result / total


def _stretched(span: CellSpan, made: int) -> Tensor:
    """A span's weights for each number of the result, rising evenly within the cells of a ramp."""
    weights = span.weights()
    if made == 1:
        return weights
    smooth = torch.nn.functional.interpolate(weights[None, None], scale_factor=made, mode="linear")[0, 0]
    # Interpolated, the ramp would reach half a cell into the margin, whose pixels are not to count.
    hard = (weights > 0).float().repeat_interleave(made)
    result: Tensor = smooth * hard
    return result
