"""The samplers that k-diffusion lacks, written out for the second implementation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from tests.endtoend.oracle_noise import Noise
from tests.sampling.k_diffusion_oracle import k_diffusion_sampling


def restart(denoiser: Any, x: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """Xu et al. (2023), with the repetitions that A1111 chose."""
    sampling = k_diffusion_sampling()
    steps, repeats, back = len(levels) - 1, 0, 0
    if steps >= 20:
        back, repeats = (steps // 4, 2) if steps >= 36 else (9, 1)
        levels = sampling.get_sigmas_karras(steps - back * repeats, float(levels[-2]), float(levels[0]))
    pairs = list(pairwise(levels))
    if repeats:
        low, high = (int(torch.argmin(abs(levels - level))) for level in (0.1, 2))
        inner = sampling.get_sigmas_karras(back + 1, float(levels[low]), float(levels[high]))[:-1]
        if high < low:
            pairs = [*pairs[:low], *[pair for _ in range(repeats) for pair in pairwise(inner)], *pairs[low:]]
    last = None
    for old, new in pairs:
        if last is not None and last < old:
            x = x + noise.draw() * (old**2 - last**2) ** 0.5
        slope = (x - denoiser(x, old)) / old
        following = x + slope * (new - old)
        if new > 0:
            slope = (slope + (following - denoiser(following, new)) / new) / 2
            following = x + slope * (new - old)
        x, last = following, new
    return x


def ddim(denoiser: Any, x: Tensor, times: Tensor, alphas: Tensor, *, plus_plus: bool) -> Tensor:
    for index in range(len(times) - 1, 0, -1):
        alpha, before = alphas[times[index]], alphas[times[index - 1]]
        noise = denoiser(x, times[index])
        direction = denoiser.state.without if plus_plus else noise
        x = before.sqrt() * (x - (1 - alpha).sqrt() * noise) / alpha.sqrt() + (1 - before).sqrt() * direction
    return x


def plms(denoiser: Any, x: Tensor, times: Tensor, alphas: Tensor) -> Tensor:
    def stepped(x: Tensor, noise: Tensor, index: int) -> Tensor:
        alpha, before = alphas[times[index]], alphas[times[max(index - 1, 0)]]
        return before.sqrt() * (x - (1 - alpha).sqrt() * noise) / alpha.sqrt() + (1 - before).sqrt() * noise

    past: list[Tensor] = []
    for index in range(len(times) - 1, 0, -1):
        noise = denoiser(x, times[index])
        if not past:
            ahead = denoiser(stepped(x, noise, index), times[index - 1])
            mixed = (noise + ahead) / 2
        else:
            weights = {1: (3, -1), 2: (23, -16, 5), 3: (55, -59, 37, -9)}[len(past)]
            mixed = sum(w * e for w, e in zip(weights, [noise, *past], strict=True)) / sum(weights)
        x = stepped(x, mixed, index)
        past = [noise, *past][:3]
    return x
