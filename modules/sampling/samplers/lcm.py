"""Multistep sampling of latent consistency models."""

from __future__ import annotations

from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step


def lcm(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep) -> Tensor:
    """Jump to the estimate and put the next level's noise on it: Luo et al. (2023), arXiv:2310.04378, algorithm 3."""
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        x = denoised
        if sigmas[i + 1] > 0:
            x = x + sigmas[i + 1] * noise(sigmas[i], sigmas[i + 1])
    return x
