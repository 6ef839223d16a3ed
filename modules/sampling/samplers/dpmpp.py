"""DPM-Solver++, the deterministic multistep and the ancestral singlestep form; after k-diffusion (MIT)."""

from __future__ import annotations

from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, ancestral_step, slope


def dpmpp_2m(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """DPM-Solver++(2M): Lu et al. (2022), arXiv:2211.01095, algorithm 2, in half-log-SNR t = -log sigma."""
    previous: Tensor | None = None
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        t, t_next = -sigmas[i].log(), -sigmas[i + 1].log()
        h = t_next - t
        estimate = denoised
        if previous is not None and sigmas[i + 1] > 0:
            r = (t + sigmas[i - 1].log()) / h
            estimate = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * previous
        x = (t_next.neg().exp() / t.neg().exp()) * x - (-h).expm1() * estimate
        previous = denoised
    return x


def dpmpp_2s_ancestral(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """DPM-Solver++(2S), Lu et al. (2022), arXiv:2211.01095, algorithm 1 with r = 1/2, in ancestral steps."""
    for i in range(len(sigmas) - 1):
        sigma, following = sigmas[i], sigmas[i + 1]
        denoised = denoiser(x, sigma)
        on_step(Step(i, x, denoised, sigma))
        down, up = ancestral_step(sigma, following, options.eta)
        if down == 0:
            x = x + slope(x, sigma, denoised) * (down - sigma)
        else:
            t, t_next = -sigma.log(), -down.log()
            h = t_next - t
            middle, start = (-(t + 0.5 * h)).exp(), t.neg().exp()
            halfway = (middle / start) * x - (-h * 0.5).expm1() * denoised
            x = (t_next.neg().exp() / start) * x - (-h).expm1() * denoiser(halfway, middle)
        if following > 0:
            x = x + noise(sigma, following) * options.s_noise * up
    return x
