"""DDIM, DDIM CFG++ and PLMS: samplers over the model's timesteps, in x = sqrt(a) image + sqrt(1 - a) noise.

`timesteps` ascend and are walked from the end; as in A1111 the first of them is stepped to, never from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step


def ddim(
    denoiser: Denoiser, x: Tensor, timesteps: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Song et al. (2020), arXiv:2010.02502, equation 12; eta 0 is deterministic, 1 is DDPM."""
    return _ddim(denoiser, x, timesteps, noise, options, on_step, unconditional_direction=False)


def ddim_cfgpp(
    denoiser: Denoiser, x: Tensor, timesteps: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """CFG++, Chung et al. (2024), arXiv:2406.08070: noise is put back along the unconditional prediction."""
    return _ddim(denoiser, x, timesteps, noise, options, on_step, unconditional_direction=True)


def _ddim(
    denoiser: Denoiser,
    x: Tensor,
    timesteps: Tensor,
    noise: Noise,
    options: SolverOptions,
    on_step: OnStep,
    *,
    unconditional_direction: bool,
) -> Tensor:
    for i, index in enumerate(range(len(timesteps) - 1, 0, -1)):
        t = timesteps[index]
        eps = denoiser(x, t.float())
        alpha, alpha_next = denoiser.alphas_cumprod[t], denoiser.alphas_cumprod[timesteps[index - 1]]
        denoised = (x - (1 - alpha).sqrt() * eps) / alpha.sqrt()
        on_step(Step(i, x, denoised, t))
        deviation = options.eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)).sqrt()
        direction = _last_uncond(denoiser) if unconditional_direction else eps
        x = alpha_next.sqrt() * denoised + (1 - alpha_next - deviation**2).sqrt() * direction
        if options.eta:
            x = x + deviation * noise(t, timesteps[index - 1])
    return x


def _last_uncond(denoiser: Denoiser) -> Tensor:
    if denoiser.last_uncond is None:
        raise ValueError("DDIM CFG++ needs a denoiser that keeps its unconditional answer.")
    return denoiser.last_uncond


def plms(
    denoiser: Denoiser, x: Tensor, timesteps: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Pseudo linear multistep: Liu et al. (2022), arXiv:2202.09778, started by a pseudo improved Euler step."""
    past: list[Tensor] = []
    for i, index in enumerate(range(len(timesteps) - 1, 0, -1)):
        t, t_next = timesteps[index], timesteps[index - 1]
        eps = denoiser(x, t.float())
        mixed = _extrapolated([eps, *past])
        if not past:
            ahead, _ = _transfer(denoiser, x, eps, t, t_next)
            mixed = (eps + denoiser(ahead, t_next.float())) / 2
        following, denoised = _transfer(denoiser, x, mixed, t, t_next)
        on_step(Step(i, x, denoised, t))
        x, past = following, [eps, *past[:2]]
    return x


def _extrapolated(slopes: list[Tensor]) -> Tensor:
    """Adams-Bashforth with as many slopes as there are, newest first."""
    if len(slopes) == 1:
        return slopes[0]
    if len(slopes) == 2:
        return (3 * slopes[0] - slopes[1]) / 2
    if len(slopes) == 3:
        return (23 * slopes[0] - 16 * slopes[1] + 5 * slopes[2]) / 12
    return (55 * slopes[0] - 59 * slopes[1] + 37 * slopes[2] - 9 * slopes[3]) / 24


def _transfer(denoiser: Denoiser, x: Tensor, eps: Tensor, t: Tensor, t_next: Tensor) -> tuple[Tensor, Tensor]:
    """(x at t_next, the denoised estimate) if the noise is `eps`."""
    alpha, alpha_next = denoiser.alphas_cumprod[t], denoiser.alphas_cumprod[t_next]
    denoised = (x - torch.sqrt(1 - alpha) * eps) / alpha.sqrt()
    return alpha_next.sqrt() * denoised + (1 - alpha_next).sqrt() * eps, denoised
