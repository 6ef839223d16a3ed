"""What every sampler is given, and the two formulas most of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from modules.sampling.options import SolverOptions


class Denoiser(Protocol):
    """Answers for a latent at a noise level: the denoised latent (sigma samplers) or the noise (timestep samplers).

    `level` is a scalar tensor on the CPU. `alphas_cumprod` is the model's training schedule. `last_uncond` is the
    latest answer to the negative prompt alone, where it is recorded.
    """

    @property
    def alphas_cumprod(self) -> Tensor: ...

    @property
    def last_uncond(self) -> Tensor | None: ...

    def __call__(self, x: Tensor, level: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Step:
    """Where a sampler stands: `x` before the step, the `denoised` estimate it is made with, and its noise level."""

    index: int
    x: Tensor
    denoised: Tensor
    level: Tensor


# Unit noise for the stretch between two noise levels. All but Brownian noise ignores the levels.
Noise = Callable[[Tensor, Tensor], Tensor]
OnStep = Callable[[Step], None]

# (denoiser, x, levels, noise, options, on_step) -> x. `levels` is 1-D on the CPU: descending sigmas, or ascending
# timesteps. Scalars stay on the CPU throughout, so that no step waits for the device.
SamplerFunction = Callable[[Denoiser, Tensor, Tensor, Noise, SolverOptions, OnStep], Tensor]


def slope(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """dx/dsigma of the probability flow ODE: Karras et al. (2022), arXiv:2206.00364, equation 3."""
    return (x - denoised) / sigma


def ancestral_step(sigma: Tensor, following: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Split a step into (level to denoise down to, standard deviation of the noise to add): Song et al. (2020),
    arXiv:2010.02502, equation 16, in terms of sigma."""
    if not eta:
        return following, torch.zeros_like(following)
    up = torch.minimum(following, eta * (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5)
    return (following**2 - up**2) ** 0.5, up


def churned(x: Tensor, sigma: Tensor, steps: int, noise: Noise, options: SolverOptions) -> tuple[Tensor, Tensor]:
    """Raise x to a slightly higher noise level before a step: Karras et al. (2022), algorithm 2, lines 4 to 6."""
    if options.s_churn <= 0:
        return x, sigma
    # Drawn at every step, used or not: k-diffusion does so, and the streams must advance alike.
    eps = noise(sigma, sigma) * options.s_noise
    if not options.s_tmin <= sigma <= options.s_tmax:
        return x, sigma
    raised = sigma * (min(options.s_churn / steps, 2**0.5 - 1) + 1)
    return x + eps * (raised**2 - sigma**2) ** 0.5, raised
