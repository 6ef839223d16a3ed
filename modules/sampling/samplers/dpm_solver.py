"""DPM-Solver with its own steps, fixed (fast) or adaptive: Lu et al. (2022), arXiv:2206.00927; after k-diffusion (MIT).

Both work in t = -log sigma and take just the two ends of the range as levels.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from modules.sampling.finite import UnetOverflow
from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, ancestral_step

_RELATIVE_TOLERANCE: Final = 0.05
_ABSOLUTE_TOLERANCE: Final = 0.0078
_FIRST_STEP: Final = 0.05
_ACCEPT_SAFETY: Final = 0.81
_TIME_SLACK: Final = 1e-5
# Pictures take some tens. A step that is refused shrinks the next one to at most 0.81 of it.
_MOST_STEPS: Final = 1000


class StepSizeError(RuntimeError):
    """The model's answers leave no step size within the tolerance."""


def dpm_fast(
    denoiser: Denoiser, x: Tensor, ends: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """DPM-Solver-fast, section 3.4: steps of order 3 that use up `options.calls` model calls exactly."""
    calls = options.calls
    if calls < 1:
        return x
    t_start, t_end = -ends[0].log(), -ends[-1].log()
    whole = calls // 3
    orders = [3] * (whole - 1) + [2, 1] if calls % 3 == 0 else [3] * whole + [calls % 3]
    times = torch.linspace(float(t_start), float(t_end), len(orders) + 1, dtype=ends.dtype)
    for i, order in enumerate(orders):
        t, t_next = times[i], times[i + 1]
        target, up = _lowered(t, t_next, t_end, options.eta)
        eps = _eps(denoiser, x, t)
        on_step(Step(i, x, x - _sigma(t) * eps, _sigma(t)))
        x = _step(denoiser, x, t, target, eps, order)
        x = x + up * options.s_noise * noise(_sigma(t), _sigma(t_next))
    return x


def dpm_adaptive(
    denoiser: Denoiser, x: Tensor, ends: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """DPM-Solver-23, appendix C: order 3 steps, as long as order 2 agrees within the tolerance.

    The error is measured on the device and read back once a step; over the whole batch, if there is more than one.

    Raises:
        UnetOverflow: the error is not finite.
        StepSizeError: the steps became too small to go on, or 1000 were not enough.
    """
    t, t_end = -ends[0].log(), -ends[-1].log()
    h, index, x_low_before = _FIRST_STEP, 0, x
    while t < t_end - _TIME_SLACK:
        t_next = torch.minimum(t_end, t + h)
        if t_next <= t or index == _MOST_STEPS:
            raise StepSizeError(f"DPM adaptive did not finish after {index} steps: choose another sampler.")
        target, up = _lowered(t, t_next, t_end, options.eta)
        eps = _eps(denoiser, x, t)
        on_step(Step(index, x, x - _sigma(t) * eps, _sigma(t)))
        eps_third = _eps_between(denoiser, x, t, target, eps, 1 / 3)
        x_low = _second_order(x, t, target, eps, eps_third, 1 / 3)
        x_high = _third_order(denoiser, x, t, target, eps, eps_third)
        error = _error(x_low, x_high, x_low_before)
        if not math.isfinite(error):
            raise UnetOverflow
        accepted, h = _controlled(error, h, options.eta)
        if accepted:
            x = x_high + up * options.s_noise * noise(_sigma(t), _sigma(t_next))
            x_low_before, t = x_low, t_next
        index += 1
    return x


def _sigma(t: Tensor) -> Tensor:
    return t.neg().exp()


def _eps(denoiser: Denoiser, x: Tensor, t: Tensor) -> Tensor:
    return (x - denoiser(x, _sigma(t))) / _sigma(t)


def _lowered(t: Tensor, t_next: Tensor, t_end: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(time to step to, deviation of the noise to add) so that the step ends at the level of t_next."""
    if not eta:
        return t_next, torch.zeros_like(t_next)
    down, _ = ancestral_step(_sigma(t), _sigma(t_next), eta)
    target = torch.minimum(t_end, -down.log())
    return target, (_sigma(t_next) ** 2 - _sigma(target) ** 2) ** 0.5


def _step(denoiser: Denoiser, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, order: int) -> Tensor:
    if order == 1:
        return x - _sigma(t_next) * (t_next - t).expm1() * eps
    if order == 2:
        eps_half = _eps_between(denoiser, x, t, t_next, eps, 1 / 2)
        return _second_order(x, t, t_next, eps, eps_half, 1 / 2)
    return _third_order(denoiser, x, t, t_next, eps, _eps_between(denoiser, x, t, t_next, eps, 1 / 3))


def _eps_between(denoiser: Denoiser, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, r: float) -> Tensor:
    """The slope at the fraction r of the step, reached by a first-order step."""
    h = t_next - t
    s = t + r * h
    return _eps(denoiser, x - _sigma(s) * (r * h).expm1() * eps, s)


def _second_order(x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, eps_r: Tensor, r: float) -> Tensor:
    growth = (t_next - t).expm1()
    return x - _sigma(t_next) * growth * eps - _sigma(t_next) / (2 * r) * growth * (eps_r - eps)


def _third_order(denoiser: Denoiser, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, eps_third: Tensor) -> Tensor:
    r1, r2 = 1 / 3, 2 / 3
    h = t_next - t
    s = t + r2 * h
    inner = (r2 * h).expm1()
    u = x - _sigma(s) * inner * eps - _sigma(s) * (r2 / r1) * (inner / (r2 * h) - 1) * (eps_third - eps)
    eps_last = _eps(denoiser, u, s)
    return x - _sigma(t_next) * h.expm1() * eps - _sigma(t_next) / r2 * (h.expm1() / h - 1) * (eps_last - eps)


def _error(x_low: Tensor, x_high: Tensor, x_low_before: Tensor) -> float:
    scale = _RELATIVE_TOLERANCE * torch.maximum(x_low.abs(), x_low_before.abs())
    deviation = (x_low - x_high) / scale.clamp(min=_ABSOLUTE_TOLERANCE)
    return float(torch.linalg.norm(deviation)) / math.sqrt(deviation.numel())


def _controlled(error: float, h: float, eta: float) -> tuple[bool, float]:
    """(whether the step is good enough, the next step size): an integral controller with a smooth limit."""
    wanted = (1 / (error + 1e-8)) ** (1 / (1.5 if eta else 3))
    factor = 1 + math.atan(wanted - 1)
    return factor >= _ACCEPT_SAFETY, h * factor
