"""Small models to sample from: one that mixes channels, and one whose exact solution is known."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from modules.sampling.conditioning import Conditioning
from modules.sampling.samplers import Step


class MixingDenoiser:
    """A smooth, nonlinear denoiser without any structure that a sampler could profit from.

    As a sigma denoiser it answers with a latent, as a timestep denoiser with noise; k-diffusion calls it too.
    """

    def __init__(self, alphas_cumprod: Tensor | None = None, seed: int = 0) -> None:
        self.alphas_cumprod = torch.empty(0) if alphas_cumprod is None else alphas_cumprod
        self.last_uncond: Tensor | None = None
        self.levels: list[float] = []
        self._weights = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)) * 0.3

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        level = torch.as_tensor(level).reshape(-1, 1, 1, 1).to(x.dtype)
        self.levels.append(float(level.flatten()[0]))
        mixed = torch.einsum("ij,bjhw->bihw", self._weights.to(x.dtype), x)
        answer = torch.tanh(mixed / (1 + level)) + x / (1 + level**2)
        self.last_uncond = answer * 0.5
        return answer


class GaussianDenoiser:
    """The optimal denoiser when all images come from one normal distribution, where the ODE is solved exactly."""

    MEAN = 0.7
    DEVIATION = 0.4

    def __init__(self, alphas_cumprod: Tensor | None = None) -> None:
        self.alphas_cumprod = torch.empty(0) if alphas_cumprod is None else alphas_cumprod
        self.last_uncond: Tensor | None = None

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        variance = self.DEVIATION**2
        return (variance * x + level**2 * self.MEAN) / (variance + level**2)

    def exact(self, x: Tensor, sigma: float, target: float) -> Tensor:
        """Where the probability flow takes x from one noise level to another."""
        variance = self.DEVIATION**2
        narrowing = float(((variance + target**2) / (variance + sigma**2)) ** 0.5)
        return self.MEAN + (x - self.MEAN) * narrowing


class GaussianNoisePredictor(GaussianDenoiser):
    """The same distribution seen by timestep samplers: answers with the noise in sqrt(a) image + sqrt(1 - a) noise."""

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        alpha = self.alpha_bar(float(level))
        image = super().__call__(x / alpha.sqrt(), ((1 - alpha) / alpha).sqrt())
        return (x - alpha.sqrt() * image) / (1 - alpha).sqrt()

    def alpha_bar(self, timestep: float) -> Tensor:
        below = min(int(timestep), len(self.alphas_cumprod) - 2)
        logs = self.alphas_cumprod[below : below + 2].log()
        return logs[0].lerp(logs[1], timestep - below).exp()

    def exact_in_time(self, x: Tensor, start: float, end: float) -> Tensor:
        first, last = self.alpha_bar(start), self.alpha_bar(end)
        sigmas = [float(((1 - alpha) / alpha).sqrt()) for alpha in (first, last)]
        return self.exact(x / first.sqrt(), *sigmas) * last.sqrt()


def latent(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def no_noise(sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """For samplers that must not draw any."""
    raise AssertionError("a deterministic sampler asked for noise")


def ignore(step: Step) -> None:
    pass


def seeded_noise(like: Tensor, seed: int) -> Callable[[Tensor, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda sigma, sigma_next: torch.randn(like.shape, generator=generator, dtype=like.dtype)


def toy_unet(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
    """A UNet's signature over arithmetic: every input matters, rows do not touch each other."""
    text = conditioning.context.mean((1, 2)).reshape(-1, 1, 1, 1)
    latents, extra = x[:, :4], x[:, 4:]
    added = extra.mean(1, keepdim=True) if extra.shape[1] else 0
    return torch.tanh(latents * 0.5 + text + added + timesteps.reshape(-1, 1, 1, 1) / 1000) * 0.7 + 0.2 * latents


def toy_conditioning(rows: int, tokens: int = 77, seed: int = 0) -> Conditioning:
    return Conditioning(torch.randn(rows, tokens, 8, generator=torch.Generator().manual_seed(seed)))
