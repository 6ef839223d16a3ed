"""The stochastic forms of DPM-Solver++; after k-diffusion (MIT). Their noise comes from a Brownian tree."""

from __future__ import annotations

import torch
from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, ancestral_step, slope


def dpmpp_sde(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """SDE-DPM-Solver++ with two calls a step (r = 1/2): Lu et al. (2022), arXiv:2211.01095, in ancestral form.

    Levels are taken through t = -log sigma and back, rounding included: the Brownian path is read at them.
    """
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        if sigmas[i + 1] == 0:
            x = x + slope(x, sigmas[i], denoised) * (sigmas[i + 1] - sigmas[i])
            continue
        t, t_next = -sigmas[i].log(), -sigmas[i + 1].log()
        start, middle, end = (-t).exp(), (-(t + (t_next - t) * 0.5)).exp(), (-t_next).exp()
        halfway = _noisy_step(x, t, start, middle, denoised, noise, options)
        x = _noisy_step(x, t, start, end, denoiser(halfway, middle), noise, options)
    return x


def _noisy_step(
    x: Tensor, t: Tensor, start: Tensor, target: Tensor, denoised: Tensor, noise: Noise, options: SolverOptions
) -> Tensor:
    down, up = ancestral_step(start, target, options.eta)
    t_down = -down.log()
    lowered = ((-t_down).exp() / start) * x - (t - t_down).expm1() * denoised
    return lowered + noise(start, target) * options.s_noise * up


def dpmpp_2m_sde(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """SDE-DPM-Solver++(2M), Lu et al. (2022), arXiv:2211.01095, appendix; midpoint or Heun correction."""
    previous, h_last = x, sigmas[0]
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        if sigmas[i + 1] == 0:
            x = denoised
            continue
        t, t_next = -sigmas[i].log(), -sigmas[i + 1].log()
        h = t_next - t
        eta_h = options.eta * h
        x = sigmas[i + 1] / sigmas[i] * (-eta_h).exp() * x + (-h - eta_h).expm1().neg() * denoised
        if i > 0:
            change = (h / h_last) * (denoised - previous)
            if options.solver_type == "heun":
                x = x + ((-h - eta_h).expm1().neg() / (-h - eta_h) + 1) * change
            else:
                x = x + 0.5 * (-h - eta_h).expm1().neg() * change
        if options.eta:
            deviation = sigmas[i + 1] * (-2 * eta_h).expm1().neg().sqrt()
            x = x + noise(sigmas[i], sigmas[i + 1]) * deviation * options.s_noise
        previous, h_last = denoised, h
    return x


def dpmpp_3m_sde(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """SDE-DPM-Solver++ with three-point extrapolation: k-diffusion's DPM-Solver++(3M) SDE."""
    past: list[tuple[Tensor, Tensor]] = []
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        if sigmas[i + 1] == 0:
            x = denoised
            continue
        h = sigmas[i].log() - sigmas[i + 1].log()
        h_eta = h * (options.eta + 1)
        x = torch.exp(-h_eta) * x + (-h_eta).expm1().neg() * denoised
        x = x + _extrapolation(denoised, h, h_eta, past)
        if options.eta:
            deviation = sigmas[i + 1] * (-2 * h * options.eta).expm1().neg().sqrt()
            x = x + noise(sigmas[i], sigmas[i + 1]) * deviation * options.s_noise
        past = [(denoised, h), *past[:1]]
    return x


def _extrapolation(denoised: Tensor, h: Tensor, h_eta: Tensor, past: list[tuple[Tensor, Tensor]]) -> Tensor:
    """What the latest one or two estimates add to a first-order step; `past` is (estimate, step), newest first."""
    if not past:
        return torch.zeros_like(denoised)
    phi_2 = h_eta.neg().expm1() / h_eta + 1
    r0 = past[0][1] / h
    d1_0 = (denoised - past[0][0]) / r0
    if len(past) == 1:
        return phi_2 * d1_0
    r1 = past[1][1] / h
    d1_1 = (past[0][0] - past[1][0]) / r1
    d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
    d2 = (d1_0 - d1_1) / (r0 + r1)
    return phi_2 * d1 - (phi_2 / h_eta - 0.5) * d2
