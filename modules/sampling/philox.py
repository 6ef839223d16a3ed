"""The counter-based generator behind CUDA's normal numbers, so that any machine can draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

# Salmon et al. (2011), "Parallel Random Numbers: As Easy as 1, 2, 3", Philox4x32-10.
_MULTIPLIERS: Final = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS: Final = (0x9E3779B9, 0xBB67AE85)
_ROUNDS: Final = 10
_WORD: Final = 0xFFFFFFFF
_LOW: Final = np.uint64(_WORD)
_SHIFT: Final = np.uint64(32)


class PhiloxStream:
    """A stream of normal draws equal to torch.randn on a CUDA device seeded with `seed`.

    CUDA gives each element its own counter while a tensor has no more elements than its launch grid has threads,
    which holds for latents; one draw moves the common offset by one.
    """

    def __init__(self, seed: int) -> None:
        self._key = (seed & _WORD, (seed >> 32) & _WORD)
        self._offset = 0

    def draw(self, shape: Sequence[int]) -> torch.Tensor:
        """Normal numbers of this shape: float32, on the CPU."""
        count = math.prod(shape)
        first, second = _philox_words(self._key, self._offset, count)
        self._offset += 1
        return torch.from_numpy(_box_muller(first, second).reshape(tuple(shape)))


def _philox_words(key: tuple[int, int], offset: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first two of the four 32-bit output words, one pair per element, held in 64-bit integers."""
    c0 = np.full(count, offset & _WORD, dtype=np.uint64)
    c1 = np.zeros(count, dtype=np.uint64)
    c2 = np.arange(count, dtype=np.uint64)
    c3 = np.zeros(count, dtype=np.uint64)
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & _WORD, (k1 + _KEY_STEPS[1]) & _WORD
    return c0, c1


def _box_muller(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """CUDA's half of the Box-Muller transform: it keeps the sine of each pair."""
    uniform = first.astype(np.float32) * np.float32(2.0**-32) + np.float32(2.0**-33)
    angle = second.astype(np.float32) * np.float32(2.0**-32 * 2 * math.pi) + np.float32(2.0**-33 * 2 * math.pi)
    normal: np.ndarray = np.sqrt(np.float32(-2.0) * np.log(uniform)) * np.sin(angle)
    return normal
