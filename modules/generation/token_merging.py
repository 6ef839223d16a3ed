"""Token merging: self-attention over fewer tokens, the likeliest ones of a picture taken as one.

"Token Merging for Fast Stable Diffusion", Bolya and Hoffman, arXiv:2303.17604. The algorithm is that of their tomesd
(MIT licence, © 2023 Daniel Bolya), re-implemented as A1111 v1.10.1 uses it: around the self-attention of the finest
level, with the top left token of each 2 × 2 square as target, so that nothing is drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import normalize

from modules.hardware.compiling import run_plain

# Similarities that lie in memory at once, in numbers: those of 512² and its negative are 6 millions.
_MOST_SCORES: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Split:
    """A picture's tokens, row by row, parted into the targets, one of each 2 × 2 square, and the rest (`sources`).

    Both are positions, 1-D; the last row or column of an odd size has sources only.
    """

    targets: Tensor
    sources: Tensor

    @classmethod
    def of(cls, height: int, width: int, device: torch.device) -> Self:
        positions = torch.arange(height * width).view(height, width)
        chosen = torch.zeros(height, width, dtype=torch.bool)
        chosen[: height // 2 * 2 : 2, : width // 2 * 2 : 2] = True
        return cls(positions[chosen].to(device), positions[~chosen].to(device))


@dataclass(frozen=True, slots=True)
class Matching:
    """Which tokens are one: `place` (rows, tokens) says where each goes among the `count` that are left of a row."""

    place: Tensor
    count: int

    def merge(self, x: Tensor) -> Tensor:
        """The mean of the tokens that are one: (rows, tokens, channels) -> (rows, count, channels)."""
        rows, _, channels = x.shape
        first = torch.arange(0, rows * self.count, self.count, device=x.device)[:, None]
        goal = (self.place + first).flatten()
        sums = x.new_zeros(rows * self.count, channels, dtype=torch.float32)
        members = x.new_zeros(rows * self.count, 1, dtype=torch.float32)
        # This adds in a fixed order on every device, which scatter_add and index_add do not.
        sums.index_put_((goal,), x.flatten(0, 1).float(), accumulate=True)
        members.index_put_((goal,), members.new_ones(1), accumulate=True)
        return (sums / members).to(x.dtype).view(rows, self.count, channels)

    def unmerge(self, x: Tensor) -> Tensor:
        """Each token gets what became of the one it is part of: (rows, count, channels) -> (rows, tokens, channels)."""
        return x.gather(1, self.place[:, :, None].expand(-1, -1, x.shape[2]))


def match(x: Tensor, split: Split, merged: int) -> Matching:
    """Bipartite soft matching: the `merged` sources that are most like a target become one with it.

    Alike are tokens of `x` (rows, tokens, channels) with a small angle between them; each row is matched by itself.
    """
    targets, sources = len(split.targets), len(split.sources)
    merged = min(merged, sources)
    likeness, nearest = _nearest(normalize(x, dim=2), split)
    order = likeness.argsort(dim=1, descending=True, stable=True)
    alone = torch.arange(targets, targets + sources - merged, device=x.device).expand(len(x), -1)
    place = x.new_empty(x.shape[:2], dtype=torch.long)
    place[:, split.targets] = torch.arange(targets, device=x.device)
    place[:, split.sources] = nearest.scatter(1, order[:, merged:], alone)
    return Matching(place, targets + sources - merged)


def _nearest(x: Tensor, split: Split) -> tuple[Tensor, Tensor]:
    """Each source's likeness to the target that is most like it, and that target's number: both (rows, sources)."""
    targets = x[:, split.targets].mT
    chunk = max(1, _MOST_SCORES // (len(x) * len(split.targets)))
    best = [(x[:, part] @ targets).max(dim=2) for part in torch.split(split.sources, chunk)]
    return torch.cat([one.values for one in best], 1), torch.cat([one.indices for one in best], 1)


class _Merging:
    """The hooks of one transformer block. What is merged follows from what comes into the block, before its norm."""

    def __init__(self, split: Split, merged: int) -> None:
        self._split = split
        self._merged = merged
        self._matching: Matching | None = None

    def enter_block(self, _block: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._matching = match(inputs[0], self._split, self._merged)

    def enter_attention(self, _attention: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        assert self._matching is not None
        return self._matching.merge(inputs[0]), *inputs[1:]

    def leave_attention(self, _attention: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        assert self._matching is not None
        matching, self._matching = self._matching, None
        return matching.unmerge(output)


@contextmanager
def tokens_merged(
    unet: UNet2DConditionModel, ratio: float, cells: tuple[int, int], device: torch.device
) -> Iterator[bool]:
    """While open, `ratio` of the tokens are merged in forwards over latents of (height, width) `cells` on `device`.

    Says whether anything is: a model without attention at the finest level, like SDXL, is left as it is. Three of four
    tokens can be merged, so that more than 0.75 is the same. It works with every attention processor; blocks that
    were compiled run plain, since compiled code would not see the hooks.
    """
    height, width = cells
    merged = int(height * width * ratio)
    blocks = finest_blocks(unet) if merged and min(cells) > 1 else ()
    split = Split.of(height, width, device)
    with ExitStack() as stack:
        stack.enter_context(run_plain(blocks))
        for block in blocks:
            merging = _Merging(split, merged)
            for handle in (
                block.register_forward_pre_hook(merging.enter_block),
                block.attn1.register_forward_pre_hook(merging.enter_attention),
                block.attn1.register_forward_hook(merging.leave_attention),
            ):
                stack.callback(handle.remove)
        yield bool(blocks)


def finest_blocks(unet: UNet2DConditionModel) -> tuple[BasicTransformerBlock, ...]:
    """The transformer blocks that see the picture in all its cells: of the first level down, and of the last one up."""
    levels = (unet.down_blocks[0], unet.up_blocks[-1])
    return tuple(module for level in levels for module in level.modules() if isinstance(module, BasicTransformerBlock))
