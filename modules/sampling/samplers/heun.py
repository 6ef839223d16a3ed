"""Heun's method and its three-stage relative HeunPP2; after k-diffusion (MIT)."""

from __future__ import annotations

from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, churned, slope


def heun(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Heun steps: Karras et al. (2022), arXiv:2206.00364, algorithm 2."""
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, sigmas[i], len(sigmas) - 1, noise, options)
        following = sigmas[i + 1]
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        d, dt = slope(x, sigma, denoised), following - sigma
        if following > 0:
            ahead = x + d * dt
            d = (d + slope(ahead, following, denoiser(ahead, following))) / 2
        x = x + d * dt
    return x


def heunpp2(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Slopes at up to three successive levels, later ones weighted by their level over the first of all.

    After Carzit's sd-webui-samplers-scheduler (MIT). The weights are a heuristic, so this is a first-order method.
    """
    last = len(sigmas) - 1
    for i in range(last):
        x, sigma = churned(x, sigmas[i], last, noise, options)
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        d, dt = slope(x, sigma, denoised), sigmas[i + 1] - sigma
        # The last level is never evaluated: two stages next to it, one on the way to it.
        stages = min(3, last - i)
        mixed, ahead, level, d_ahead = d, x, sigma, d
        for target in sigmas[i + 1 : i + stages]:
            ahead = ahead + d_ahead * (target - level)
            level, d_ahead = target, slope(ahead, target, denoiser(ahead, target))
            mixed = mixed + (d_ahead - d) * (target / (stages * sigmas[0]))
        x = x + mixed * dt
    return x
