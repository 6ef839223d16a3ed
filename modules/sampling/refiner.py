"""The refiner: another model that goes on with a run from a call on, with the same latent, sampler state and noise.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from modules.families import PredictionType
from modules.sampling.conditioning import ConditionsAt
from modules.sampling.denoiser import UNet
from modules.sampling.guidance import GuidanceOptions
from modules.sampling.model_schedule import ModelSigmas
from modules.sampling.plan import SamplingPlan

# A1111 reckons with models of a thousand timesteps, whatever the model is.
_LAST_TIMESTEP, _TIMESTEPS = 999, 1000


@dataclass(frozen=True, slots=True)
class GuidedUNet:
    """A UNet with all that a run needs to know of it: its noise levels, its prediction, and what guides it.

    `extra_channels`, (images, channels, height, width), is joined to its input.
    """

    unet: UNet
    conditions: ConditionsAt
    guidance: GuidanceOptions
    model: ModelSigmas
    prediction_type: PredictionType = "epsilon"
    extra_channels: Tensor | None = None


@dataclass(frozen=True, slots=True)
class RefinerSwitch:
    """When the refiner takes over, and what gives it: `load` is called once, between two calls of the models.

    `at` is a share of the training timesteps, counted from the noise; `by_calls` makes it one of the run's calls.
    `load` may raise Interrupted.
    """

    at: float
    load: Callable[[], GuidedUNet]
    by_calls: bool = False

    def is_due(self, plan: SamplingPlan, call: int, level: Tensor) -> bool:
        """Whether call number `call` of the run, at this noise level or timestep, is the refiner's."""
        if self.by_calls:
            return call / max(plan.total_calls, 1) >= self.at
        return (_LAST_TIMESTEP - _timestep(plan, level)) / _TIMESTEPS >= self.at


def _timestep(plan: SamplingPlan, level: Tensor) -> int:
    """The timestep of a level: with samplers that go by noise levels the number of the model's nearest one."""
    if plan.sampler.family == "timestep":
        return int(level)
    return int((plan.model.sigmas.to(level.dtype) - level).abs().argmin())
