"""Sampling of models distilled by trajectory consistency."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from modules.sampling.model_schedule import ModelSigmas
from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, slope

# A whole timestep found from its sigma in float32 lies this near to it.
_ROUNDING: Final = 1e-3


def tcd(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep) -> Tensor:
    """Step below the next level and put noise on up to it: Zheng et al. (2024), arXiv:2402.19159, section 4.2.

    eta is the paper's gamma: 0 is deterministic, at 1 each step goes all the way down.
    """
    model = ModelSigmas(denoiser.alphas_cumprod)
    for i in range(len(sigmas) - 1):
        sigma, following = sigmas[i], sigmas[i + 1]
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        down = _share_of(model, following, 1 - options.eta)
        x = denoised + slope(x, sigma, denoised) * down
        if down < following:
            x = x + noise(sigma, following) * (following**2 - down**2) ** 0.5
    return x


def _share_of(model: ModelSigmas, sigma: Tensor, share: float) -> Tensor:
    """The level at the whole timestep below `share` of that of `sigma`; 0 stays 0, and all of it `sigma`."""
    if sigma == 0 or share == 1:
        return sigma
    timestep = torch.floor(model.sigma_to_t(sigma) * share + _ROUNDING)
    return torch.minimum(model.t_to_sigma(timestep).to(sigma.dtype), sigma)
