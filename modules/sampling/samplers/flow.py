"""Samplers for models trained by flow matching, where x = (1 - level) * image + level * noise, level from 1 to 0.

Levels are shares of noise, so that noise which is added takes the picture's share down with it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, SamplerFunction, Step

# Where half the logarithm of the signal-to-noise ratio is wanted, a level of 1 would make it infinite.
_HIGHEST = 1 - 1e-4


def flow_euler_ancestral(
    denoiser: Denoiser, x: Tensor, levels: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Euler steps below the next level, with noise put on up to it."""
    for i in range(len(levels) - 1):
        denoised = denoiser(x, levels[i])
        on_step(Step(i, x, denoised, levels[i]))
        if levels[i + 1] == 0:
            return denoised
        down = _down(levels[i], levels[i + 1], options.eta)
        x = _renoised(_towards(x, denoised, levels[i], down), down, levels[i], levels[i + 1], noise, options)
    return x


def flow_dpm2_ancestral(
    denoiser: Denoiser, x: Tensor, levels: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """DPM-Solver-2's midpoint in the logarithm of the level, taken below the next level, with noise put on up to it."""
    for i in range(len(levels) - 1):
        denoised = denoiser(x, levels[i])
        on_step(Step(i, x, denoised, levels[i]))
        if levels[i + 1] == 0:
            return denoised
        down = _down(levels[i], levels[i + 1], options.eta)
        middle = levels[i].log().lerp(down.log(), 0.5).exp()
        halfway = _towards(x, denoised, levels[i], middle)
        slope = (halfway - denoiser(halfway, middle)) / middle
        x = _renoised(x + slope * (down - levels[i]), down, levels[i], levels[i + 1], noise, options)
    return x


def flow_dpmpp_2s_ancestral(
    denoiser: Denoiser, x: Tensor, levels: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """DPM-Solver++(2S), Lu et al. (2022), arXiv:2211.01095, algorithm 1 with r = 1/2, in ancestral steps.

    The middle is that of half the logarithm of the signal-to-noise ratio.
    """
    for i in range(len(levels) - 1):
        denoised = denoiser(x, levels[i])
        on_step(Step(i, x, denoised, levels[i]))
        if levels[i + 1] == 0:
            return denoised
        down = _down(levels[i], levels[i + 1], options.eta)
        middle = _of_ratio((_ratio(levels[i]) * _ratio(down)).sqrt())
        halfway = _towards(x, denoised, levels[i], middle)
        lowered = _towards(x, denoiser(halfway, middle), levels[i], down)
        x = _renoised(lowered, down, levels[i], levels[i + 1], noise, options)
    return x


def flow_lcm(
    denoiser: Denoiser, x: Tensor, levels: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Jump to the estimate and mix it with noise to the next level: Luo et al. (2023), arXiv:2310.04378."""
    for i in range(len(levels) - 1):
        denoised = denoiser(x, levels[i])
        on_step(Step(i, x, denoised, levels[i]))
        x = denoised
        if levels[i + 1] > 0:
            x = denoised * (1 - levels[i + 1]) + noise(levels[i], levels[i + 1]) * levels[i + 1]
    return x


def with_added_noise(run: SamplerFunction) -> SamplerFunction:
    """A sampler of x = image + sigma * noise for the levels of a flow: x / (1 - level) is such an x.

    Its sigma is level / (1 - level), the noise it is given that of the levels.
    """

    def scaled(
        denoiser: Denoiser, x: Tensor, levels: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
    ) -> Tensor:
        def flow_noise(sigma: Tensor, following: Tensor) -> Tensor:
            return noise(_of_ratio(sigma), _of_ratio(following))

        def report(step: Step) -> None:
            level = _of_ratio(step.level)
            on_step(Step(step.index, step.x * (1 - level), step.denoised, level))

        sigmas = _ratio(levels)
        started = x * (1 + sigmas[0]) if len(levels) else x
        ended = run(_Scaled(denoiser), started, sigmas, flow_noise, options, report)
        return ended / (1 + sigmas[-1]) if len(levels) else ended

    return scaled


class _Scaled:
    """A flow's denoiser for x = image + sigma * noise."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser

    @property
    def alphas_cumprod(self) -> Tensor:
        return self._denoiser.alphas_cumprod

    @property
    def last_uncond(self) -> Tensor | None:
        return self._denoiser.last_uncond

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        return self._denoiser(x / (1 + level), _of_ratio(level))


def _ratio(level: Tensor) -> Tensor:
    """Noise over picture, in 64 bits: near a level of 1 it is large."""
    held = level.double().clamp(max=_HIGHEST)
    return held / (1 - held)


def _of_ratio(ratio: Tensor) -> Tensor:
    return (ratio / (1 + ratio)).to(torch.float32)


def _towards(x: Tensor, denoised: Tensor, level: Tensor, target: Tensor) -> Tensor:
    """`x` at another level of the line between its noise and the estimate: an Euler step."""
    share = target / level
    return x * share + denoised * (1 - share)


def _down(level: Tensor, following: Tensor, eta: float) -> Tensor:
    """The level to step down to before noise is put on."""
    return following * (1 + (following / level - 1) * eta)


def _renoised(
    x: Tensor, down: Tensor, level: Tensor, following: Tensor, noise: Noise, options: SolverOptions
) -> Tensor:
    """`x` from the level `down` brought up to `following`: its picture's share shrinks, and the rest is new noise."""
    if down == following:
        return x
    share = (1 - following) / (1 - down)
    deviation = (following**2 - (down * share) ** 2).clamp_min(0).sqrt()
    return x * share + noise(level, following) * (options.s_noise * deviation)
