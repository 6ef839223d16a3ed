"""A sampling run: from a plan, a UNet and noise to the finished latent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from modules.families import PredictionType
from modules.hardware.streams import sent
from modules.sampling.brownian import BrownianNoise
from modules.sampling.conditioning import ConditionsAt, of_image
from modules.sampling.denoiser import (
    FlowPrediction,
    LcmPrediction,
    Prediction,
    SigmaPrediction,
    TimestepPrediction,
    UNet,
)
from modules.sampling.guidance import Guidance, GuidanceOptions, Guided, SuccessorAt
from modules.sampling.inpainting import InpaintMask, row_of
from modules.sampling.model_schedule import FlowSigmas, LcmSigmas, ModelSigmas
from modules.sampling.noise import ImageNoise
from modules.sampling.plan import SamplingPlan
from modules.sampling.refiner import RefinerSwitch
from modules.sampling.samplers import (
    FLOW_SAMPLER_FUNCTIONS,
    SAMPLER_FUNCTIONS,
    STEP_CONTROLLED_SAMPLERS,
    Noise,
    OnStep,
    Step,
)

# DDIM CFG++ takes the usual CFG slider and divides it down to its own range of 0 to 1.
_CFG_PLUS_PLUS_DIVISOR: Final = 12.5


class Interrupted(Exception):
    """Raise it from a hook to end a run early; `sample` then returns the latest estimate of the finished latent."""


def sample(
    plan: SamplingPlan,
    unet: UNet,
    conditions: ConditionsAt,
    noise: ImageNoise,
    guidance: GuidanceOptions,
    *,
    prediction_type: PredictionType = "epsilon",
    init_latent: Tensor | None = None,
    noise_multiplier: float = 1.0,
    mask: InpaintMask | None = None,
    extra_channels: Tensor | None = None,
    on_step: OnStep | None = None,
    before_call: Callable[[int], None] | None = None,
    refiner: RefinerSwitch | None = None,
) -> Tensor:
    """Run a plan and return the latent it ends with, (images, channels, height, width) in float32.

    `noise` is used up: its first draw is the initial noise, later ones feed the sampler. `init_latent` is needed by
    plans with a strength; `noise_multiplier` is A1111's initial_noise_multiplier. `mask` keeps parts of its `init`
    during the run; blending the finished latent once more is the caller's. `on_step` is called after each step's
    first model call, with the estimate that `guidance` wants shown, `before_call(c)` before the c-th model call; either
    may raise Interrupted. With a `refiner` samplers that control their own steps take one image only: they run image
    by image, and each would have to begin with `unet` again.
    """
    inputs = _Inputs(
        prediction_type, init_latent, noise_multiplier, mask, extra_channels, on_step, before_call, refiner
    )
    if plan.sampler.label not in STEP_CONTROLLED_SAMPLERS:
        return _sample(plan, unet, conditions, noise, guidance, inputs)
    if refiner is not None and len(noise.seeds) > 1:
        raise ValueError(f"{plan.sampler.label} with a refiner takes one image at a time.")
    alone = [
        _sample(plan, unet, of_image(conditions, index), noise.of_image(index), guidance, inputs.of_image(index), index)
        for index in range(len(noise.seeds))
    ]
    return torch.cat(alone)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a run may be given besides its plan."""

    prediction_type: PredictionType
    init_latent: Tensor | None
    noise_multiplier: float
    mask: InpaintMask | None
    extra_channels: Tensor | None
    on_step: OnStep | None
    before_call: Callable[[int], None] | None
    refiner: RefinerSwitch | None

    def of_image(self, index: int) -> _Inputs:
        """The same for one image of the batch."""
        return replace(
            self,
            init_latent=None if self.init_latent is None else row_of(self.init_latent, index),
            mask=None if self.mask is None else self.mask.of_image(index),
            extra_channels=None if self.extra_channels is None else row_of(self.extra_channels, index),
        )


def _sample(
    plan: SamplingPlan,
    unet: UNet,
    conditions: ConditionsAt,
    noise: ImageNoise,
    guidance: GuidanceOptions,
    inputs: _Inputs,
    first: int = 0,
) -> Tensor:
    """`first` is the place of the run's first image in its batch."""
    x = plan.starting_latent(noise.draw() * inputs.noise_multiplier, inputs.init_latent)
    cfg_plus_plus = plan.sampler.label == "DDIM CFG++"
    denoiser = Guidance(
        _prediction(plan, unet, plan.model, inputs.prediction_type),
        conditions,
        guidance,
        total_calls=plan.total_calls,
        extra_channels=_beside(x, inputs.extra_channels),
        mask=inputs.mask,
        before_call=inputs.before_call,
        keep_uncond=cfg_plus_plus,
        scale_factor=1 / _CFG_PLUS_PLUS_DIVISOR if cfg_plus_plus else 1.0,
        successor=None if inputs.refiner is None else _successor(plan, x, inputs.refiner),
        images=range(first, first + len(noise.seeds)),
    )
    functions = FLOW_SAMPLER_FUNCTIONS if plan.is_flow else SAMPLER_FUNCTIONS
    run = functions[plan.sampler.label]
    report = inputs.on_step or _ignore

    def on_step(step: Step) -> None:
        report(replace(step, denoised=denoiser.shown(step.denoised)))

    try:
        with torch.no_grad():
            return run(denoiser, x, plan.levels, _sampler_noise(plan, noise), plan.solver, on_step)
    except Interrupted:
        return x if denoiser.last_denoised is None else denoiser.last_denoised


def _ignore(step: Step) -> None:
    """Progress that nobody watches."""


def _beside(x: Tensor, extra_channels: Tensor | None) -> Tensor | None:
    # Once, since each step would send it again and wait.
    return None if extra_channels is None else extra_channels.to(x)


def _successor(plan: SamplingPlan, x: Tensor, switch: RefinerSwitch) -> SuccessorAt:
    def at(call: int, level: Tensor) -> Guided | None:
        if not switch.is_due(plan, call, level):
            return None
        refiner = switch.load()
        model = LcmSigmas(refiner.model) if isinstance(plan.model, LcmSigmas) else refiner.model
        prediction = _prediction(plan, refiner.unet, model, refiner.prediction_type)
        return Guided(prediction, refiner.conditions, refiner.guidance, _beside(x, refiner.extra_channels))

    return at


def _prediction(plan: SamplingPlan, unet: UNet, model: ModelSigmas, prediction_type: PredictionType) -> Prediction:
    if isinstance(model, FlowSigmas):
        return FlowPrediction(unet, model)
    if isinstance(model, LcmSigmas):
        return LcmPrediction(unet, model)
    if plan.sampler.family == "timestep":
        return TimestepPrediction(unet, model, prediction_type)
    return SigmaPrediction(unet, model, prediction_type)


def _sampler_noise(plan: SamplingPlan, noise: ImageNoise) -> Noise:
    if not plan.sampler.brownian_noise:
        return lambda sigma, sigma_next: noise.draw()
    brownian = _brownian_noise(plan, noise)
    return lambda sigma, sigma_next: sent(brownian(sigma, sigma_next), noise.device)


def _brownian_noise(plan: SamplingPlan, noise: ImageNoise) -> BrownianNoise:
    if not plan.options.no_dpmpp_sde_batch_determinism:
        return BrownianNoise(noise.shape, *plan.brownian_range, noise.seeds, noise.seeded)
    # Without determinism A1111 seeds one tree from torch's own generator, which the last image's seed has just set.
    drawn = torch.randint(0, 2**63 - 1, [], generator=torch.Generator().manual_seed(noise.seeds[-1]))
    positive = plan.levels[plan.levels > 0]
    shape = (len(noise.seeds), *noise.shape)
    return BrownianNoise.for_whole_batch(shape, float(positive.min()), float(positive.max()), int(drawn), noise.seeded)
