"""The noise levels that models were trained on, for the second implementation, and the schedules made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from tests.endtoend.oracle_terms import PassSettings
from tests.sampling.k_diffusion_oracle import k_diffusion_external, k_diffusion_sampling


@dataclass(frozen=True)
class Edm:
    """A training without timesteps: Karras et al. (2022), arXiv:2206.00364. `sign` is that of the answer; `rho` spreads
    levels, None evenly in their logarithm.
    """

    data: float
    low: float
    high: float
    sign: float
    rho: float | None

    def spread(self, sigma: float) -> float:
        return math.log(sigma) if self.rho is None else sigma ** (1 / self.rho)


class EdmLevels:
    """The levels of such a training; where timesteps are counted it has a thousand, spread as its levels are."""

    def __init__(self, edm: Edm) -> None:
        self._edm = edm
        self.sigmas = self.get_sigmas(1000)[:-1].flip(0)

    def get_sigmas(self, n: int) -> Tensor:
        sampling, edm = k_diffusion_sampling(), self._edm
        if edm.rho is None:
            return cast(Tensor, sampling.get_sigmas_exponential(n, edm.low, edm.high))
        return cast(Tensor, sampling.get_sigmas_karras(n, edm.low, edm.high, edm.rho))

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        low, high = self._edm.spread(self._edm.low), self._edm.spread(self._edm.high)
        return torch.tensor([999 * (self._edm.spread(float(s)) - low) / (high - low) for s in sigma.reshape(-1)])

    def t_to_sigma(self, times: Tensor) -> Tensor:
        low, high = self._edm.spread(self._edm.low), self._edm.spread(self._edm.high)
        spread = [low + float(t) / 999 * (high - low) for t in times]
        return torch.tensor([math.exp(s) if self._edm.rho is None else s**self._edm.rho for s in spread])


def trained_alphas(settings: Mapping[str, Any]) -> Tensor:
    """The share of the picture at each timestep of Stable Diffusion, as these settings change it."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).float()
    alphas = alphas.half() if settings.get("use_downcasted_alpha_bar") else alphas
    if settings.get("sd_noise_schedule") == "Zero Terminal SNR":
        root = alphas.sqrt()
        alphas = ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
        alphas[-1] = 4.8973451890853435e-08
    return alphas


def discrete_levels(alphas: Tensor, settings: Mapping[str, Any]) -> Any:
    """k-diffusion's own view of them."""
    external = k_diffusion_external()
    return external.DiscreteSchedule(((1 - alphas) / alphas) ** 0.5, bool(settings.get("enable_quantization")))


def schedule_of(name: str, n: int, trained: Any, spec: PassSettings) -> Tensor:
    """The levels of a run over `n` steps."""
    sampling = k_diffusion_sampling()
    low = spec.setting("sigma_min", 0) or float(trained.sigmas[0])
    high = spec.setting("sigma_max", 0) or float(trained.sigmas[-1])
    rho = spec.setting("rho", 0)
    match name:
        case "Karras":
            return cast(Tensor, sampling.get_sigmas_karras(n, low, high, rho or 7.0))
        case "Exponential":
            return cast(Tensor, sampling.get_sigmas_exponential(n, low, high))
        case "Polyexponential":
            return cast(Tensor, sampling.get_sigmas_polyexponential(n, low, high, rho or 1.0))
        case "SGM Uniform":
            first, last = (trained.sigma_to_t(torch.tensor(s)) for s in (high, low))
            return _with_zero(trained.t_to_sigma(torch.linspace(float(first), float(last), n + 1)[:-1]))
        case "KL Optimal":
            i = torch.arange(n + 1) / n
            return torch.tan(i * math.atan(low) + (1 - i) * math.atan(high))
        case "Simple":
            return _with_zero(torch.stack([trained.sigmas[-(1 + int(i * 1000 / n))] for i in range(n)]))
        case "DDIM":
            return _with_zero(trained.sigmas[1 :: max(1000 // n, 1)].flip(0))
    return cast(Tensor, trained.get_sigmas(n))


def _with_zero(levels: Tensor) -> Tensor:
    return torch.cat([levels, torch.zeros(1)])
