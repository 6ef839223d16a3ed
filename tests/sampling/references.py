"""Independent computations of what samplers should give, each (denoiser, x, levels, noise) -> x.

Where a package computes the same it is used; otherwise the published formula is written out plainly, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from scipy import integrate
from torch import Tensor

from modules.sampling.samplers.protocol import Denoiser, Noise
from tests.sampling.k_diffusion_oracle import k_diffusion_sampling

BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}

Reference = Callable[[Denoiser, Tensor, Tensor, Noise], Tensor]


def _slope(denoiser: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    return (x - denoiser(x, sigma)) / sigma


def heunpp2(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """Carzit's Heun++: weights are each level over the first, shared among the stages."""
    steps = len(s) - 1
    for i in range(steps):
        d1, h = _slope(denoiser, x, s[i]), s[i + 1] - s[i]
        if i + 1 == steps:
            x = x + h * d1
            continue
        x2 = x + h * d1
        d2 = _slope(denoiser, x2, s[i + 1])
        if i + 2 == steps:
            w2 = s[i + 1] / (2 * s[0])
            x = x + h * ((1 - w2) * d1 + w2 * d2)
        else:
            d3 = _slope(denoiser, x2 + d2 * (s[i + 2] - s[i + 1]), s[i + 2])
            w2, w3 = s[i + 1] / (3 * s[0]), s[i + 2] / (3 * s[0])
            x = x + h * ((1 - w2 - w3) * d1 + w2 * d2 + w3 * d3)
    return x


def _multistep(
    denoiser: Denoiser, x: Tensor, s: Tensor, most: int, weights: Callable[[list[float], float], list[float]]
) -> Tensor:
    """x plus weighted slopes; `weights(levels so far, newest last; next level)` gives them newest first."""
    slopes: list[Tensor] = []
    for i, (sigma, following) in enumerate(pairwise(s.tolist())):
        slopes = [_slope(denoiser, x, s[i]), *slopes][:most]
        past = s[max(i - most + 1, 0) : i + 1].tolist()
        x = x + sum(w * d for w, d in zip(weights(past, following), slopes, strict=False))
        assert sigma >= following
    return x


def ipndm(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """Adams-Bashforth weights by solving for polynomials on even nodes, times the step."""

    def weights(past: list[float], following: float) -> list[float]:
        nodes = -np.arange(len(past), dtype=float)
        powers = np.vander(nodes, increasing=True).T
        solved = np.linalg.solve(powers, 1 / np.arange(1, len(past) + 1))
        return list(solved * (following - past[-1]))

    return _multistep(denoiser, x, s, 4, weights)


def ipndm_v(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """diff-sampler's formula as it stands, misplaced bracket and ratio included."""

    def weights(past: list[float], following: float) -> list[float]:
        t = [following, *reversed(past)]
        h = [a - b for a, b in pairwise(t)]
        if len(past) == 1:
            return [h[0]]
        w = [(2 + h[0] / h[1]) / 2, -(h[0] / h[1]) / 2, 0.0, 0.0]
        if len(past) >= 3:
            temp = (1 - h[0] / (3 * (h[0] + h[1])) * (h[0] * (h[0] + h[1])) / (h[1] * (h[1] + h[2]))) / 2
            w = [w[0] + temp, w[1] - (1 + h[1] / h[2]) * temp, temp * h[1] / h[2], 0.0]
        if len(past) >= 4:
            span = h[0] + h[1] + h[2]
            a = (1 - h[0] / (3 * (h[0] + h[1]))) / 2 + (1 - h[0] / (2 * (h[0] + h[1]))) * h[0] / (6 * span)
            b = h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3])
            temp = a * (h[0] * (h[0] + h[1]) * span) / b
            q = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
            w[0] += temp
            w[1] -= (1 + h[1] / h[2] + q) * temp
            w[2] += (h[1] / h[2] + q * (1 + h[2] / h[3])) * temp
            w[3] -= temp * q * h[1] / h[2]
        return [h[0] * value for value in w]

    return _multistep(denoiser, x, s, 4, weights)


def vp_time(sigma: float) -> float:
    """The time of EDM's variance-preserving process: sigma(0.001) = 0.002, sigma(1) = 80, found by bisection."""
    wanted = [(1e-3, math.log(0.002**2 + 1)), (1.0, math.log(80.0**2 + 1))]
    (t0, l0), (t1, l1) = wanted
    # log(sigma^2 + 1) = beta_min t + beta_d t^2 / 2 through both points.
    beta_d = 2 * (l0 / t0 - l1 / t1) / (t0 - t1)
    beta_min = l1 / t1 - beta_d * t1 / 2
    low, high = 0.0, 2.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if beta_min * middle + beta_d * middle**2 / 2 < math.log(sigma**2 + 1) else (low, middle)
        )
    return low


def deis(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """Zhang & Chen (2022), equation 15, by SciPy's quadrature."""

    def weights(past: list[float], following: float) -> list[float]:
        used = past[-1:] if following <= 0 else past
        nodes = [vp_time(sigma) for sigma in reversed(used)]

        def integrand(sigma: float, j: int) -> float:
            time = vp_time(sigma)
            return math.prod((time - nodes[k]) / (nodes[j] - nodes[k]) for k in range(len(nodes)) if k != j)

        return [integrate.quad(integrand, used[-1], following, args=(j,))[0] for j in range(len(nodes))]

    return _multistep(denoiser, x, s, 3, weights)


def ddpm(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """Ho et al. (2020), equations 6 and 7, in their own scaling."""
    for sigma, following in pairwise(s):
        a, b = 1 / (1 + sigma**2), 1 / (1 + following**2)
        scaled, image, beta = x * a.sqrt(), denoiser(x, sigma), 1 - a / b
        mean = b.sqrt() * beta / (1 - a) * image + (a / b).sqrt() * (1 - b) / (1 - a) * scaled
        if following > 0:
            mean = mean + (beta * (1 - b) / (1 - a)).sqrt() * noise(sigma, following)
        x = mean / b.sqrt()
    return x


def lcm(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """Luo et al. (2023), algorithm 3: estimate, then the next level's noise."""
    for sigma, following in pairwise(s):
        x = denoiser(x, sigma)
        if following > 0:
            x = x + following * noise(sigma, following)
    return x


def tcd(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """Zheng et al. (2024) with gamma 0.3, step by step as diffusers' TCDScheduler does, in its scaled latents."""
    alphas = denoiser.alphas_cumprod.to(torch.float64)
    trained = ((1 - alphas) / alphas).log() / 2
    for sigma, following in pairwise(s.double()):
        denoised = denoiser(x, sigma)
        if not following:
            return denoised
        timestep = float(np.interp(float(following.log()), trained.numpy(), np.arange(len(trained))))
        # Where both are the last level, rounding alone decides which is the larger one.
        below, after = alphas[int(timestep * 0.7 + 1e-3)], 1 / (1 + following**2)
        eps = (x - denoised) / sigma
        scaled = below.sqrt() * denoised + (1 - below).sqrt() * eps
        scaled = (after / below).sqrt() * scaled + (1 - after / below).clamp(min=0).sqrt() * noise(sigma, following)
        x = (scaled / after.sqrt()).to(x.dtype)
    return x


def restart(denoiser: Denoiser, x: Tensor, s: Tensor, noise: Noise) -> Tensor:
    """k-diffusion's Heun over each stretch between two restarts."""
    oracle, steps = k_diffusion_sampling(), len(s) - 1
    again, times = (0, 0) if steps < 20 else (9, 1) if steps < 36 else (steps // 4, 2)
    base = oracle.get_sigmas_karras(steps - again * times, float(s[-2]), float(s[0])) if times else s
    low, high = (int((base - level).abs().argmin()) for level in (0.1, 2.0))
    stretches = [base[: low + 1], base[low:]] if times else [base]
    loop = oracle.get_sigmas_karras(again + 1, float(base[low]), float(base[high]))[:-1] if times else base
    stretches[1:1] = [loop] * times
    end = stretches[0][0]
    for stretch in stretches:
        if stretch[0] > end:
            x = x + noise(end, stretch[0]) * (stretch[0] ** 2 - end**2) ** 0.5
        x = oracle.sample_heun(denoiser, x, stretch.to(x.dtype), disable=True)
        end = stretch[-1]
    return x


def ddim(denoiser: Denoiser, x: Tensor, timesteps: Tensor, noise: Noise, eta: float = 0.0) -> Tensor:
    """diffusers' DDIM, stopped one step before its end; the timesteps must be its own."""
    scheduler = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(len(timesteps))
    assert scheduler.timesteps.tolist() == timesteps.flip(0).tolist()
    for t in scheduler.timesteps[:-1]:
        drawn = noise(t, t) if eta else None
        x = scheduler.step(denoiser(x, t.float()), t, x, eta=eta, variance_noise=drawn).prev_sample
    return x


def _walked(denoiser: Denoiser, timesteps: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    alphas = denoiser.alphas_cumprod.double()
    for t, following in pairwise(timesteps.flip(0)):
        yield t.float(), following.float(), alphas[t], alphas[following]


def ddim_cfgpp(denoiser: Denoiser, x: Tensor, timesteps: Tensor, noise: Noise) -> Tensor:
    """Chung et al. (2024), algorithm 2: denoise with guidance, renoise without."""
    x = x.double()
    for t, _, a, b in _walked(denoiser, timesteps):
        image = (x - (1 - a).sqrt() * denoiser(x, t)) / a.sqrt()
        assert denoiser.last_uncond is not None
        x = b.sqrt() * image + (1 - b).sqrt() * denoiser.last_uncond
    return x


def plms(denoiser: Denoiser, x: Tensor, timesteps: Tensor, noise: Noise) -> Tensor:
    """Liu et al. (2022): equation 11 as transfer, 12 for the multistep, a pseudo improved Euler step to start."""

    def phi(x: Tensor, eps: Tensor, a: Tensor, b: Tensor) -> Tensor:
        weight = (b - a) / (a.sqrt() * (((1 - b) * a).sqrt() + ((1 - a) * b).sqrt()))
        return (b / a).sqrt() * x - weight * eps

    history: list[Tensor] = []
    x = x.double()
    for t, following, a, b in _walked(denoiser, timesteps):
        e = denoiser(x, t)
        if not history:
            mixed = (e + denoiser(phi(x, e, a, b), following)) / 2
        elif len(history) == 1:
            mixed = (3 * e - history[-1]) / 2
        elif len(history) == 2:
            mixed = (23 * e - 16 * history[-1] + 5 * history[-2]) / 12
        else:
            mixed = (55 * e - 59 * history[-1] + 37 * history[-2] - 9 * history[-3]) / 24
        history.append(e)
        x = phi(x, mixed, a, b)
    return x


def unipc(
    denoiser: Denoiser,
    x: Tensor,
    timesteps: Tensor,
    noise: Noise,
    *,
    variant: str = "bh1",
    order: int = 3,
    lower_final: bool = True,
) -> Tensor:
    """diffusers' UniPC over our continuous times: only its noise levels and model inputs are replaced."""
    scheduler = UniPCMultistepScheduler(
        **BETAS, solver_order=order, solver_type=variant, lower_order_final=lower_final, final_sigmas_type="sigma_min"
    )
    steps = len(timesteps)
    scheduler.set_timesteps(steps)
    logs = 0.5 * denoiser.alphas_cumprod.double().log()
    place = torch.linspace(1, 0.001, steps + 1).double() * 1000 - 1
    below = place.floor().long().clamp(0, 998)
    alphas = logs[below].lerp(logs[below + 1], place - below).exp()
    scheduler.sigmas = ((1 - alphas**2).sqrt() / alphas).float()
    scheduler.timesteps = place.float()[:-1]
    for t in scheduler.timesteps:
        x = scheduler.step(denoiser(x, t), t, x).prev_sample
    return x
