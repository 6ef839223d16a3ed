"""The noise levels a model was trained on, and the mapping between noise level and timestep."""

from __future__ import annotations

import math
from functools import cache
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from modules.families import EdmTraining, FlowTraining

# The terminal value that zero-SNR rescaling leaves instead of 0, so that sigma stays finite (about 4519).
_TERMINAL_ALPHA_BAR: Final = 4.8973451890853435e-08
# The published spacing of EDM's levels: Karras et al. (2022), table 1.
_EDM_RHO: Final = 7.0


class ModelSigmas:
    """Noise levels (sigma, ascending) of a discretely trained model, in float32 on the CPU.

    In the variance-exploding space that most samplers work in, x = image + sigma * noise.
    `alphas_cumprod` is the cumulative product of the training schedule: sigma^2 = (1 - a) / a.
    """

    def __init__(self, alphas_cumprod: Tensor, *, quantize: bool = False) -> None:
        """`quantize` rounds noise levels to whole timesteps (A1111's option enable_quantization)."""
        sigmas = ((1 - alphas_cumprod) / alphas_cumprod) ** 0.5
        # In half precision the logarithm is taken in half precision too: the option restores that behaviour.
        self.log_sigmas = sigmas.log().float()
        self.sigmas = sigmas.float()
        self.alphas_cumprod = alphas_cumprod.float()
        self.quantize = quantize

    @classmethod
    def from_training(
        cls,
        alphas_cumprod: Tensor,
        *,
        zero_terminal_snr: bool = False,
        downcast: bool = False,
        quantize: bool = False,
    ) -> Self:
        """Levels of a model with A1111's options applied: half-precision alphas first, then the rescaling."""
        alphas = alphas_cumprod.detach().to("cpu", torch.float32)
        if downcast:
            alphas = alphas.half()
        if zero_terminal_snr:
            alphas = rescale_zero_terminal_snr(alphas)
        return cls(alphas, quantize=quantize)

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    def uniform(self, steps: int) -> Tensor:
        """Sigmas at evenly spaced timesteps from the last to the first, then 0."""
        timesteps = torch.linspace(len(self.sigmas) - 1, 0, steps)
        return torch.cat([self.t_to_sigma(timesteps), torch.zeros(1)])

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """Timestep of a noise level, interpolated between the logarithms of the trained ones."""
        log_sigma = sigma.log()
        if self.quantize:
            distance = (log_sigma.reshape(-1) - self.log_sigmas[:, None].to(log_sigma.dtype)).abs()
            return distance.argmin(dim=0).view(sigma.shape)
        table = self.log_sigmas.to(log_sigma.dtype)
        below = (torch.searchsorted(table, log_sigma, right=True) - 1).clamp(0, len(table) - 2)
        low, high = table[below], table[below + 1]
        weight = ((low - log_sigma) / (low - high)).clamp(0, 1)
        return (1 - weight) * below + weight * (below + 1)

    def unet_timestep(self, sigma: Tensor) -> Tensor:
        """What the UNet gets as time at a noise level."""
        return self.sigma_to_t(sigma)

    def t_to_sigma(self, timestep: Tensor) -> Tensor:
        """Noise level at a possibly fractional timestep."""
        timestep = timestep.float()
        low, high, weight = timestep.floor().long(), timestep.ceil().long(), timestep.frac()
        return ((1 - weight) * self.log_sigmas[low] + weight * self.log_sigmas[high]).exp()


class LcmSigmas(ModelSigmas):
    """The 50 levels a latent consistency model was distilled on: every 20th timestep, from 19 to 999."""

    ORIGINAL_STEPS: Final = 50

    def __init__(self, model: ModelSigmas) -> None:
        self.stride = len(model.sigmas) // self.ORIGINAL_STEPS
        super().__init__(model.alphas_cumprod[self.stride - 1 :: self.stride])

    def uniform(self, steps: int) -> Tensor:
        first, last = self.stride * len(self.sigmas) - 1, self.stride - 1
        timesteps = torch.linspace(first, last, steps)
        return torch.cat([self.t_to_sigma(timesteps), torch.zeros(1)])

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """The nearest of the distilled timesteps."""
        distance = (sigma.log().reshape(-1) - self.log_sigmas[:, None]).abs()
        return distance.argmin(dim=0).view(sigma.shape) * self.stride + (self.stride - 1)

    def t_to_sigma(self, timestep: Tensor) -> Tensor:
        index = (timestep.float() - (self.stride - 1)) / self.stride
        return super().t_to_sigma(index.clamp(0, len(self.sigmas) - 1))


class EdmSigmas(ModelSigmas):
    """The noise levels of a model trained by EDM, which has no timesteps: Karras et al. (2022), arXiv:2206.00364.

    For schedules and the refiner's switch, which count in timesteps, 1000 of them are laid over its range as its own
    training spaces levels.
    """

    TIMESTEPS: Final = 1000

    def __init__(self, training: EdmTraining) -> None:
        self._rho = _EDM_RHO if training.spacing == "karras" else None
        self._ends = (self._spaced(training.sigma_min), self._spaced(training.sigma_max))
        self.quantize = False
        self.sigmas = self.t_to_sigma(torch.arange(self.TIMESTEPS))
        self.log_sigmas = self.sigmas.log()
        self.alphas_cumprod = 1 / (self.sigmas**2 + 1)

    def unet_timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        low, high = self._ends
        spaced = sigma.log() if self._rho is None else sigma ** (1 / self._rho)
        return ((spaced - low) / (high - low)).clamp(0, 1) * (self.TIMESTEPS - 1)

    def t_to_sigma(self, timestep: Tensor) -> Tensor:
        low, high = self._ends
        spaced = low + timestep.double() / (self.TIMESTEPS - 1) * (high - low)
        return (spaced.exp() if self._rho is None else spaced**self._rho).float()

    def _spaced(self, sigma: float) -> float:
        return math.log(sigma) if self._rho is None else sigma ** (1 / self._rho)


class FlowSigmas(ModelSigmas):
    """The noise levels of a model trained by flow matching, where x = (1 - level) * image + level * noise.

    As A1111's successors do, 1000 of them stand for the training, and a level counts as 1000 times its own value in
    timesteps, while a timestep's level is shifted: schedules that are even in timesteps depend on that. `cells` is how
    many the latent has, by which some models shift even levels.
    """

    TIMESTEPS: Final = 1000

    def __init__(self, training: FlowTraining, cells: int = 0) -> None:
        self._training = training
        self._cells = cells
        self.quantize = False
        self.sigmas = self.t_to_sigma(torch.arange(1, self.TIMESTEPS + 1))
        self.log_sigmas = self.sigmas.log()
        self.alphas_cumprod = (1 - self.sigmas) ** 2 / ((1 - self.sigmas) ** 2 + self.sigmas**2)

    def uniform(self, steps: int) -> Tensor:
        """Even stretches of time from 1 on, shifted, then 0: what diffusers' pipelines of such models take."""
        times = self.TIMESTEPS * (1 - torch.arange(steps, dtype=torch.float64) / steps)
        shift = self._training.even_shift(self._cells, steps)
        return torch.cat([self._shifted(times, shift), torch.zeros(1)])

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        return sigma * self.TIMESTEPS

    def unet_timestep(self, sigma: Tensor) -> Tensor:
        """The level itself: families whose models count otherwise turn it into that."""
        return sigma

    def t_to_sigma(self, timestep: Tensor) -> Tensor:
        return self._shifted(timestep, self._training.shift)

    def _shifted(self, timestep: Tensor, shift: float) -> Tensor:
        time = timestep.double() / self.TIMESTEPS
        return (shift * time / (1 + (shift - 1) * time)).float()


def scaled_linear_alphas_cumprod(start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> Tensor:
    """Training schedule of SD1, SD2 and SDXL: betas linear in their square roots. float32."""
    betas = np.linspace(start**0.5, end**0.5, steps, dtype=np.float64) ** 2
    return torch.tensor(np.cumprod(1.0 - betas), dtype=torch.float32)


def rescale_zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """Shift a schedule so that its last step is (all but) pure noise: Lin et al. (2023), arXiv:2305.08891, alg. 1."""
    root = alphas_cumprod.sqrt()
    first, last = root[0].clone(), root[-1].clone()
    rescaled = ((root - last) * (first / (first - last))) ** 2
    rescaled[-1] = _TERMINAL_ALPHA_BAR
    return rescaled


@cache
def sd1_sigmas() -> ModelSigmas:
    """The levels of SD1, which SD2 and SDXL share."""
    return ModelSigmas(scaled_linear_alphas_cumprod())
