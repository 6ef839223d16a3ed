"""UniPC: a predictor and a corrector that share their model calls. Zhao et al. (2023), arXiv:2302.04867."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step


class UniPCOptionError(ValueError):
    """A UniPC option names a variant or a spacing that does not exist."""


@dataclass(frozen=True, slots=True)
class _Point:
    """A model answer: continuous time, half log signal-to-noise ratio, noise deviation, denoised estimate."""

    time: Tensor
    lam: Tensor
    sigma: Tensor
    denoised: Tensor


def unipc(
    denoiser: Denoiser, x: Tensor, timesteps: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Multistep UniPC on denoised estimates, algorithms 5 and 6, over continuous times in (0, 1].

    Of `timesteps` only the number counts, and from an image the last one, where it starts.
    """
    steps = len(timesteps)
    if steps == 0:
        return x
    schedule = _Schedule(denoiser.alphas_cumprod)
    start = float(timesteps[-1] + 1) / 1000 if options.is_img2img else 1.0
    times = schedule.spaced(options.uni_pc_skip_type, start, steps)
    order = min(options.uni_pc_order, steps)
    past = [_answer(denoiser, schedule, x, times[0])]
    for step in range(1, steps + 1):
        on_step(Step(step - 1, x, past[-1].denoised, past[-1].time))
        lowers = options.uni_pc_lower_order_final and step >= order
        usable = min(order, step, steps + 1 - step if lowers else order)
        advance = _Advance(schedule, x, past[-usable:], times[step], options.uni_pc_variant)
        x = advance.predicted()
        if step < steps:
            # One call serves twice: it corrects this step and is the newest answer of the next.
            point = _answer(denoiser, schedule, x, times[step])
            x = advance.corrected(point)
            past = [*past[-(order - 1) :], point] if order > 1 else [point]
    return x


def _answer(denoiser: Denoiser, schedule: _Schedule, x: Tensor, time: Tensor) -> _Point:
    log_alpha = schedule.log_alpha(time)
    sigma = schedule.sigma(log_alpha)
    eps = denoiser(x, (time - 1 / schedule.count) * 1000)
    return _Point(time, log_alpha - sigma.log(), sigma, (x - sigma * eps) / log_alpha.exp())


class _Schedule:
    """The model's schedule over continuous time: log alpha is piecewise linear between times 1/N, 2/N, ..., 1."""

    def __init__(self, alphas_cumprod: Tensor) -> None:
        self.count = len(alphas_cumprod)
        self._log_alphas = 0.5 * alphas_cumprod.log()

    def log_alpha(self, time: Tensor) -> Tensor:
        place = (time * self.count - 1).clamp(0, self.count - 1)
        below = place.floor().long().clamp(max=self.count - 2)
        return self._log_alphas[below].lerp(self._log_alphas[below + 1], place - below)

    def sigma(self, log_alpha: Tensor) -> Tensor:
        return (1 - (2 * log_alpha).exp()).sqrt()

    def spaced(self, kind: str, start: float, steps: int) -> Tensor:
        """`steps` + 1 times from `start` down to the first, evenly in time, in its root, or in log SNR."""
        end, dtype = 1 / self.count, self._log_alphas.dtype
        if kind == "time_uniform":
            return torch.linspace(start, end, steps + 1, dtype=dtype)
        if kind == "time_quadratic":
            return torch.linspace(start**0.5, end**0.5, steps + 1, dtype=dtype) ** 2
        if kind == "logSNR":
            ends = self.log_alpha(torch.tensor([start, end], dtype=dtype))
            lam = ends - self.sigma(ends).log()
            return self._time_of(torch.linspace(float(lam[0]), float(lam[1]), steps + 1, dtype=dtype))
        raise UniPCOptionError(f"uni_pc_skip_type is time_uniform, time_quadratic or logSNR, not {kind!r}.")

    def _time_of(self, lam: Tensor) -> Tensor:
        log_alpha = -0.5 * torch.logaddexp(torch.zeros_like(lam), -2 * lam)
        rising = self._log_alphas.flip(0)
        above = torch.searchsorted(rising, log_alpha).clamp(1, self.count - 1)
        low, high = rising[above - 1], rising[above]
        place = (above - 1) + (log_alpha - low) / (high - low)
        return (self.count - place) / self.count


class _Advance:
    """One step from the newest of `past` to `time`, of order len(past)."""

    def __init__(self, schedule: _Schedule, x: Tensor, past: list[_Point], time: Tensor, variant: str) -> None:
        if variant not in ("bh1", "bh2", "vary_coeff"):
            raise UniPCOptionError(f"uni_pc_variant is bh1, bh2 or vary_coeff, not {variant!r}.")
        newest = past[-1]
        log_alpha = schedule.log_alpha(time)
        sigma = schedule.sigma(log_alpha)
        self._alpha = log_alpha.exp()
        self._variant = variant
        self._newest = newest.denoised
        step = log_alpha - sigma.log() - newest.lam
        self._h = -step
        older = past[-2::-1]
        self._ratios = [(point.lam - newest.lam) / step for point in older]
        self._changes = [
            (point.denoised - newest.denoised) / ratio for point, ratio in zip(older, self._ratios, strict=True)
        ]
        self._first_order = sigma / newest.sigma * x - self._alpha * self._h.expm1() * newest.denoised

    def predicted(self) -> Tensor:
        """x at the new time, from past answers alone (UniP)."""
        weights = self._weights(len(self._changes)) if self._changes else []
        return self._moved(weights, self._changes)

    def corrected(self, point: _Point) -> Tensor:
        """x at the new time, with the answer there taken into account (UniC)."""
        return self._moved(self._weights(len(self._changes) + 1), [*self._changes, point.denoised - self._newest])

    def _moved(self, weights: list[Tensor], changes: list[Tensor]) -> Tensor:
        x = self._first_order
        for weight, change in zip(weights, changes, strict=True):
            x = x - self._alpha * weight * change
        return x

    def _weights(self, count: int) -> list[Tensor]:
        """Weights of `count` changes; the newest answer, if counted, sits at ratio 1."""
        ratios = torch.stack([*self._ratios, torch.ones_like(self._h)])[:count]
        correcting = count > len(self._changes)
        if self._variant == "vary_coeff":
            return self._varying_weights(ratios, correcting=correcting)
        scale = self._h if self._variant == "bh1" else self._h.expm1()
        if count == 1:
            return [0.5 * scale]
        phis = self._phis(count)
        rows = torch.stack([ratios**k for k in range(count)])
        wanted = torch.stack([phis[k] * math.factorial(k) / scale for k in range(1, count + 1)])
        return list(torch.linalg.solve(rows, wanted) * scale)

    def _varying_weights(self, ratios: Tensor, *, correcting: bool) -> list[Tensor]:
        count = len(ratios)
        columns = torch.stack([ratios**k / math.factorial(k + 1) for k in range(count)], dim=1)
        inverse, phis = torch.linalg.inv(columns), self._phis(count)
        if not correcting:
            return [sum((phis[k + 1] * inverse[k, j] for k in range(count)), 0 * phis[0]) for j in range(count)]
        # The published corrector weighs the newest change by the last row before its own; pictures depend on it.
        old = [sum((phis[k + 1] * inverse[k, j] for k in range(count - 1)), 0 * phis[0]) for j in range(count - 1)]
        return [*old, phis[count] * inverse[max(count - 2, 0), -1]]

    def _phis(self, count: int) -> list[Tensor]:
        """h * phi_1(h), h * phi_2(h), ...: each is the one before, divided by h, less 1/k!."""
        phis = [self._h.expm1()]
        for k in range(1, count + 1):
            phis.append(phis[-1] / self._h - 1 / math.factorial(k))
        return phis
