"""Restart sampling: go back up in noise once or twice and come down again."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, slope

# The stretch that is walked again, as noise levels.
_LOW: Final = 0.1
_HIGH: Final = 2.0
_FEWEST_STEPS: Final = 20
_TWICE_FROM: Final = 36


def restart(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Xu et al. (2023), "Restart Sampling for Improving Generative Processes", arXiv:2306.14878, with Heun steps.

    As in A1111 the repeated stretch is paid for out of the step count, which then is spread by Karras' schedule.
    """
    plan = restart_steps(sigmas)
    # Not sigmas[0]: the respread schedule may start a rounding error above it, and no noise is due there.
    last = plan[0][0] if plan else sigmas[0]
    for i, (sigma, following) in enumerate(plan):
        if sigma > last:
            x = x + noise(last, sigma) * options.s_noise * (sigma**2 - last**2) ** 0.5
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        d, dt = slope(x, sigma, denoised), following - sigma
        if following > 0:
            ahead = x + d * dt
            d = (d + slope(ahead, following, denoiser(ahead, following))) / 2
        x = x + d * dt
        last = following
    return x


def restart_steps(sigmas: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The (from, to) levels of every step, repetitions included."""
    steps = len(sigmas) - 1
    if steps < _FEWEST_STEPS:
        return list(pairwise(sigmas))
    again, times = (steps // 4, 2) if steps >= _TWICE_FROM else (9, 1)
    sigmas = _karras(steps - again * times, sigmas[-2], sigmas[0])
    low, high = (int((sigmas - level).abs().argmin()) for level in (_LOW, _HIGH))
    plan = list(pairwise(sigmas))
    if not 0 <= high < low:
        return plan
    stretch = _karras(again + 1, sigmas[low], sigmas[high])[:-1]
    return plan[:low] + list(pairwise(stretch)) * times + plan[low:]


def _karras(steps: int, low: Tensor, high: Tensor) -> Tensor:
    ramp = torch.linspace(0, 1, steps)
    first, last = float(high) ** (1 / 7), float(low) ** (1 / 7)
    return torch.cat([(first + ramp * (last - first)) ** 7, torch.zeros(1)]).to(high.dtype)
