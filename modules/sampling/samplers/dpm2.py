"""DPM-Solver-2 in sigma space, deterministic and ancestral; after k-diffusion (MIT)."""

from __future__ import annotations

from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, ancestral_step, churned, slope


def dpm2(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """A midpoint step in log sigma: DPM-Solver-2, Lu et al. (2022), arXiv:2206.00927, with Karras et al.'s churn."""
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, sigmas[i], len(sigmas) - 1, noise, options)
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        x = _midpoint_step(denoiser, x, sigma, sigmas[i + 1], denoised)
    return x


def dpm2_ancestral(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """The same midpoint step, taken below the next level, with noise added back up to it."""
    for i in range(len(sigmas) - 1):
        sigma, following = sigmas[i], sigmas[i + 1]
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        down, up = ancestral_step(sigma, following, options.eta)
        x = _midpoint_step(denoiser, x, sigma, down, denoised)
        if down > 0:
            x = x + noise(sigma, following) * options.s_noise * up
    return x


def _midpoint_step(denoiser: Denoiser, x: Tensor, sigma: Tensor, target: Tensor, denoised: Tensor) -> Tensor:
    d = slope(x, sigma, denoised)
    if target == 0:
        return x + d * (target - sigma)
    middle = sigma.log().lerp(target.log(), 0.5).exp()
    halfway = x + d * (middle - sigma)
    return x + slope(halfway, middle, denoiser(halfway, middle)) * (target - sigma)
