"""HyperTile: self-attention looks at a tile of the picture only, which is quicker the larger the picture is.

By tfernd (2023, MIT licence), without a paper: down to `max_depth` levels deep in the UNet, the cells of a picture are
parted into equal tiles, which become rows of the batch. The number of tiles along a side divides it; one of the
`swap_size` smallest sizes from the tile size on is drawn for each call, alike for every picture.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.features.each_pass import each_pass
from modules.features.hypertile.declare import HyperTileArguments
from modules.generation.module_hooks import SelfAttention, module_hooks, self_attentions
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import CallPosition


def tile_counts(cells: int, least: int, sizes: int) -> list[int]:
    """How many tiles a side of `cells` may have: by its `sizes` smallest divisors from `least` on, or whole."""
    divisors = [size for size in range(min(least, cells), cells + 1) if cells % size == 0]
    return [cells // size for size in divisors[:sizes]]


def tiled(x: Tensor, cells: tuple[int, int], down: int, across: int) -> Tensor:
    """(rows, cells, channels) -> (rows · tiles, cells of a tile, channels)."""
    height, width = cells
    parted = x.view(x.shape[0], down, height // down, across, width // across, x.shape[2])
    return parted.transpose(2, 3).reshape(-1, (height // down) * (width // across), x.shape[2])


def untiled(x: Tensor, cells: tuple[int, int], down: int, across: int) -> Tensor:
    """The way back."""
    height, width = cells
    parted = x.view(-1, down, across, height // down, width // across, x.shape[2])
    return parted.transpose(2, 3).reshape(-1, height * width, x.shape[2])


class _Tiling:
    """The hooks of one self-attention, `depth` levels deep."""

    def __init__(self, arguments: HyperTileArguments, depth: int, chance: Callable[[], random.Random]) -> None:
        self._least = max(32, arguments.tile_size) // 8 * (2**depth if arguments.scale_depth else 1)
        self._sizes = arguments.swap_size
        self._chance = chance
        self._cells = (1, 1)
        self._tiles = (1, 1)

    def enter(self, _transformer: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._cells = (int(inputs[0].shape[-2]), int(inputs[0].shape[-1]))

    def part(self, _attention: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        chance, (height, width) = self._chance(), self._cells
        # Merged tokens are no picture any more.
        whole = inputs[0].shape[1] == height * width
        counts = [chance.choice(tile_counts(side, self._least, self._sizes)) if whole else 1 for side in self._cells]
        self._tiles = (counts[0], counts[1])
        return None if self._tiles == (1, 1) else (tiled(inputs[0], self._cells, *self._tiles), *inputs[1:])

    def join(self, _attention: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output if self._tiles == (1, 1) else untiled(output, self._cells, *self._tiles)


class HyperTile(PassHook):
    """Tiles the self-attentions of the finest levels."""

    def __init__(self, arguments: HyperTileArguments) -> None:
        self._arguments = arguments
        self._call = 0

    def begin_call(self, at: CallPosition) -> None:
        self._call = at.call

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        with module_hooks(unet) as add:
            for depth, one in attentions_by_depth(unet, self._arguments.max_depth):
                tiling = _Tiling(self._arguments, depth, lambda: random.Random(self._call))
                add(one.transformer.register_forward_pre_hook(tiling.enter))
                add(one.attention.register_forward_pre_hook(tiling.part))
                add(one.attention.register_forward_hook(tiling.join))
            yield


def attentions_by_depth(unet: UNet2DConditionModel, deepest: int) -> Iterator[tuple[int, SelfAttention]]:
    """The self-attentions down to that level, each with its level: 0 sees the picture in all its cells."""
    levels = len(unet.down_blocks)
    for depth in range(min(deepest, levels - 1) + 1):
        for part in (unet.down_blocks[depth], unet.up_blocks[levels - 1 - depth]):
            yield from ((depth, one) for one in self_attentions(part))


def _hooks_of(arguments: HyperTileArguments, context: PassContext) -> Sequence[PassHook]:
    """None where the picture is no larger than a tile."""
    cells = [side // context.pipeline.model.vae_factor for side in context.work.spec.size]
    whole = all(tile_counts(side, max(32, arguments.tile_size) // 8, arguments.swap_size) == [1] for side in cells)
    return () if whole and arguments.max_depth == 0 else (HyperTile(arguments),)


hypertile = each_pass(HyperTileArguments, _hooks_of)
