"""Euler's method, deterministic and ancestral; after k-diffusion (MIT, Katherine Crowson)."""

from __future__ import annotations

from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, ancestral_step, churned, slope


def euler(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Euler steps: Karras et al. (2022), arXiv:2206.00364, algorithm 2 without the correction."""
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, sigmas[i], len(sigmas) - 1, noise, options)
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        x = x + slope(x, sigma, denoised) * (sigmas[i + 1] - sigma)
    return x


def euler_ancestral(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Euler steps below the next level, with noise added back up to it: k-diffusion's ancestral sampling."""
    for i in range(len(sigmas) - 1):
        sigma, following = sigmas[i], sigmas[i + 1]
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        down, up = ancestral_step(sigma, following, options.eta)
        x = x + slope(x, sigma, denoised) * (down - sigma)
        if following > 0:
            x = x + noise(sigma, following) * options.s_noise * up
    return x


def ddpm(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """The posterior of DDPM, Ho et al. (2020), arXiv:2006.11239, equation 7, between any two levels, in sigma space."""
    for i in range(len(sigmas) - 1):
        sigma, following = sigmas[i], sigmas[i + 1]
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        ratio = (following / sigma) ** 2
        x = denoised + (x - denoised) * ratio
        if following > 0:
            x = x + noise(sigma, following) * following * (1 - ratio) ** 0.5
    return x
