"""Brownian motion that answers for any interval, always the same for a seed: noise that does not depend on steps."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

# torchsde's settings for its BrownianTree, on which every number below depends.
_DIGITS: Final = 6
_POOL_SIZE: Final = 24
_CACHED_NODES: Final = 64

# Draws normal noise of a shape from a seed; the noise source (CPU, GPU, NV) decides how.
SeededNormal = Callable[[int, Sequence[int]], Tensor]


@dataclass(frozen=True, slots=True)
class _Node:
    """A dyadic piece of the time axis: `index` counts the pieces of its `depth` from the left."""

    start: float
    end: float
    depth: int = 0
    index: int = 0

    @property
    def middle(self) -> float:
        return round(0.5 * (self.end + self.start), _DIGITS)

    def children(self) -> tuple[_Node, _Node]:
        middle = self.middle
        return (
            _Node(self.start, middle, self.depth + 1, 2 * self.index),
            _Node(middle, self.end, self.depth + 1, 2 * self.index + 1),
        )


class BrownianTree:
    """A Brownian path on [start, end], equal to torchsde's BrownianTree of the same seed.

    The path is refined by halving: the middle of a piece is drawn given its ends (a Brownian bridge), from a seed
    that only depends on the tree's seed and the piece. Times count to 1e-6.
    Li et al. (2020), "Scalable Gradients for Stochastic Differential Equations", arXiv:2001.01328.
    """

    def __init__(self, start: float, end: float, shape: Sequence[int], seed: int, normal: SeededNormal) -> None:
        self._root = _Node(round(start, _DIGITS), round(end, _DIGITS))
        self._shape = tuple(shape)
        self._seed = seed
        self._normal = normal
        root_seed = int(np.random.SeedSequence(entropy=seed, pool_size=_POOL_SIZE).generate_state(1)[0])
        self._total = normal(root_seed, self._shape) * math.sqrt(end - start)
        self._cache: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    def increment(self, start: float, end: float) -> Tensor:
        """W(end) - W(start); times outside the tree's interval are moved to its ends."""
        low, high = self._root.start, self._root.end
        start, end = (round(min(max(time, low), high), _DIGITS) for time in (start, end))
        if start == end:
            return torch.zeros_like(self._total)
        pieces = list(self._pieces(self._root, self._total, start, end))
        # Added from the left one by one: so torchsde rounds.
        return sum(pieces[1:], pieces[0])

    def _pieces(self, node: _Node, value: Tensor, start: float, end: float) -> Iterator[Tensor]:
        """Increments of the largest pieces that make up the interval, from the left."""
        if start == node.start and end == node.end:
            yield value
            return
        left, right = node.children()
        left_value, right_value = self._halves(node, value, left)
        if start < left.end:
            yield from self._pieces(left, left_value, start, min(end, left.end))
        if end > right.start:
            yield from self._pieces(right, right_value, max(start, right.start), end)

    def _halves(self, node: _Node, value: Tensor, left: _Node) -> tuple[Tensor, Tensor]:
        key = (node.depth, node.index)
        left_value = self._cache.get(key)
        if left_value is None:
            reciprocal = 1 / (node.end - node.start)
            before, after = left.end - node.start, node.end - left.end
            bridge = self._normal(self._node_seed(node), self._shape)
            left_value = before * value * reciprocal + math.sqrt(before * after * reciprocal) * bridge
            self._cache[key] = left_value
            if len(self._cache) > _CACHED_NODES:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return left_value, value - left_value

    def _node_seed(self, node: _Node) -> int:
        sequence = np.random.SeedSequence(entropy=self._seed, spawn_key=(node.index, node.depth), pool_size=_POOL_SIZE)
        return int(sequence.generate_state(1)[0])


class BrownianNoise:
    """Unit noise between two noise levels, cut from Brownian paths: one path per image, or one for the batch.

    Equal to k-diffusion's BrownianTreeNoiseSampler. Used by the DPM++ SDE family, whose pictures thereby change
    little with the number of steps.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        sigma_min: float,
        sigma_max: float,
        seeds: Sequence[int],
        normal: SeededNormal,
    ) -> None:
        self._trees = [BrownianTree(sigma_min, sigma_max, image_shape, seed, normal) for seed in seeds]

    @classmethod
    def for_whole_batch(
        cls, batch_shape: Sequence[int], sigma_min: float, sigma_max: float, seed: int, normal: SeededNormal
    ) -> BrownianNoise:
        """One path for all images together: what A1111 does under no_dpmpp_sde_batch_determinism."""
        noise = cls(batch_shape[1:], sigma_min, sigma_max, (), normal)
        noise._trees = [BrownianTree(sigma_min, sigma_max, batch_shape, seed, normal)]
        return noise

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        low, high = (sigma, sigma_next) if sigma < sigma_next else (sigma_next, sigma)
        sign = 1 if sigma < sigma_next else -1
        paths = [tree.increment(float(low), float(high)) for tree in self._trees]
        increments = torch.stack(paths) if paths[0].dim() == 3 else paths[0]
        return increments * sign / (high - low).sqrt()
