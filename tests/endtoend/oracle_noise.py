"""The second implementation's noise: each picture's own draws, also for what k-diffusion draws by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tests.sampling.k_diffusion_oracle import k_diffusion_sampling


class Noise:
    """The draws of one picture in one pass."""

    def __init__(
        self,
        seed: int,
        size: tuple[int, int],
        variation: tuple[int, float] | None = None,
        delta: int = 0,
        resize_from: tuple[int, int] | None = None,
    ) -> None:
        """`size` and `resize_from` are (width, height) in pixels; `variation` another seed and its strength."""
        self._first = self._shape_of(resize_from or size)
        self.seed = seed
        self.size = size
        self._shape = self._shape_of(size)
        self._variation, self._delta = variation, delta
        self._generator = torch.Generator().manual_seed(seed)
        self._drew = False

    @staticmethod
    def _shape_of(size: tuple[int, int]) -> tuple[int, int, int]:
        return 4, size[1] // 8, size[0] // 8

    def draw(self) -> Tensor:
        if self._drew:
            return torch.randn(self._shape, generator=self._generator)[None]
        self._drew = True
        drawn = torch.randn(self._first, generator=torch.Generator().manual_seed(self.seed))
        if self._variation:
            seed, strength = self._variation
            other = torch.randn(self._first, generator=torch.Generator().manual_seed(seed))
            drawn = _between(drawn, other, strength)
        own = torch.randn(self._shape, generator=self._generator)
        if self._delta:
            self._generator = torch.Generator().manual_seed(self.seed + self._delta)
        return (drawn if self._first == self._shape else _laid_on(own, drawn))[None]


def _laid_on(ground: Tensor, patch: Tensor) -> Tensor:
    """`patch` over the middle of `ground`, what does not fit cut off at both sides alike."""
    for axis in (1, 2):
        over = patch.shape[axis] - ground.shape[axis]
        if over > 0:
            cut = -(-over // 2)
            patch = patch.narrow(axis, cut, patch.shape[axis] - 2 * cut)
    top, left = ((ground.shape[axis] - patch.shape[axis]) // 2 for axis in (1, 2))
    ground = ground.clone()
    ground[:, top : top + patch.shape[1], left : left + patch.shape[2]] = patch
    return ground


def _between(low: Tensor, high: Tensor, amount: float) -> Tensor:
    cosine = (low / torch.norm(low, dim=1, keepdim=True) * (high / torch.norm(high, dim=1, keepdim=True))).sum(1)
    angle = torch.acos(cosine)
    return (torch.sin((1 - amount) * angle) / torch.sin(angle)).unsqueeze(1) * low + (
        torch.sin(amount * angle) / torch.sin(angle)
    ).unsqueeze(1) * high


@contextmanager
def noise_of(noise: Noise) -> Iterator[None]:
    """While open, what k-diffusion draws by itself are draws of this picture."""

    class Torch:
        def __getattr__(self, name: str) -> Any:
            return (lambda x: noise.draw()) if name == "randn_like" else getattr(torch, name)

    sampling = k_diffusion_sampling()
    sampling.torch = Torch()
    yield
    sampling.torch = torch
