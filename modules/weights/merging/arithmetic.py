"""The formulas of merging, on one tensor, in float32: never in the files' own types, whose rounding they would carry.

The tensors that are given are used up: where they are float32 already, the result is computed in their memory.

What A1111 v1.10.1 does on the CPU in the types of the files. A product of two float16 numbers is rounded there twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch import Tensor

from modules.families import UNET_PREFIX
from modules.parameters.unet_blocks import BASE, block_of

_OUT: Final = "OUT"


def weighted_sum(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """A·(1-M) + B·M, of `a`'s shape; a B with fewer input channels changes the first of A's."""
    merged = widened(a)
    part = merged[:, : b.shape[1]] if merged.shape != b.shape else merged
    part.mul_(1 - weight).add_(widened(b), alpha=weight)
    return merged


def add_difference(a: Tensor, b: Tensor, c: Tensor, weight: float) -> Tensor:
    """A + (B-C)·M, of `a`'s shape; B and C with fewer input channels change the first of A's."""
    merged, difference = widened(a), widened(b).sub_(widened(c))
    part = merged[:, : b.shape[1]] if merged.shape != b.shape else merged
    part.add_(difference, alpha=weight)
    return merged


def widened(values: Tensor) -> Tensor:
    """The values in the type that is computed in: float32, or float64 where a file has that."""
    return values if values.dtype == torch.float64 else values.float()


def common_type(dtypes: list[torch.dtype]) -> torch.dtype:
    """The type of a merged tensor: that of its sources, or where they differ the one that holds the values of all."""
    first = dtypes[0]
    if all(dtype == first for dtype in dtypes):
        return first
    wide = [dtype for dtype in dtypes if dtype.itemsize > 1]
    if not wide:
        return torch.float16
    common = wide[0]
    for dtype in wide[1:]:
        common = torch.promote_types(common, dtype)
    return common


def _merged_with(name: str) -> str:
    """The block of the UNet that a tensor of a checkpoint counts to, as merges by block name it.

    The embeddings of time and of what conditions beside the text count to the first block, the output to the last.
    """
    layer = name.removeprefix(UNET_PREFIX)
    if layer == name:
        return BASE
    return block_of(layer) or (_OUT if layer.startswith("out.") else "IN00")


def last_block(names: Iterable[str]) -> str:
    """The last block on the way out that a checkpoint with these tensors has: OUT11, for SDXL OUT08; "" without one."""
    blocks = {block_of(name.removeprefix(UNET_PREFIX)) for name in names if name.startswith(UNET_PREFIX)}
    return max((block for block in blocks if block.startswith(_OUT)), default="")


def tensor_weight(name: str, weights: Mapping[str, float], multiplier: float, last: str) -> float:
    """The M of a tensor: its block's, else `multiplier`. `last` is the checkpoint's `last_block`."""
    block = _merged_with(name)
    return weights.get(last if block == _OUT else block, multiplier)
