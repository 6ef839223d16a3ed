"""Noise schedules: how the noise levels of a run are spread over its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from modules.families import StepTables
from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.schedules import Schedule, resolve_schedule
from modules.sampling.align_your_steps import AYS, AYS_11, AYS_32, GITS, StepTable
from modules.sampling.beta_distribution import beta_quantile
from modules.sampling.model_schedule import FlowSigmas, ModelSigmas, sd1_sigmas

# What k-diffusion's first Karras schedule used, whatever the model (use_old_karras_scheduler_sigmas).
_OLD_KARRAS_RANGE: Final = (0.1, 10.0)


@dataclass(frozen=True, slots=True)
class ScheduleInputs:
    """What a schedule function may look at. `rho` is None where the schedule's own default applies."""

    steps: int
    sigma_min: float
    sigma_max: float
    model: ModelSigmas
    rho: float | None = None
    beta_shape: tuple[float, float] = (0.6, 0.6)
    step_tables: StepTables = "SD1"


ScheduleFunction = Callable[[ScheduleInputs], Tensor]


def build_sigmas(
    schedule: Schedule,
    steps: int,
    model: ModelSigmas,
    options: SamplerOptions,
    *,
    discard_penultimate: bool = False,
    step_tables: StepTables = "SD1",
) -> Tensor:
    """Noise levels of a run, descending, ending in 0 where the schedule does: 1-D, float32, on the CPU.

    Automatic stands for Uniform here; what a sampler prefers is decided before. With `discard_penultimate` (or the
    option of that meaning) the schedule is made for one step more and loses its last level above zero.
    """
    discard = discard_penultimate or options.always_discard_next_to_last_sigma
    inputs = _inputs(schedule, steps + discard, model, options, step_tables)
    sigmas = SCHEDULE_FUNCTIONS[schedule.label](inputs)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if discard else sigmas


def sigma_schedule(label: str, steps: int) -> list[float]:
    """The sigmas of a schedule on SD1's model with default settings, the trailing 0 included where there is one.

    `label` may be any spelling of a schedule. Raises UnknownScheduleError for a name that is none.
    """
    schedule = resolve_schedule(label, strict=True)
    sigmas: list[float] = build_sigmas(schedule, steps, sd1_sigmas(), SamplerOptions()).tolist()
    return sigmas


def _inputs(
    schedule: Schedule, steps: int, model: ModelSigmas, options: SamplerOptions, step_tables: StepTables
) -> ScheduleInputs:
    low, high = _OLD_KARRAS_RANGE if options.use_old_karras_scheduler_sigmas else (model.sigma_min, model.sigma_max)
    takes_rho = schedule.default_rho != -1 and options.rho != 0
    return ScheduleInputs(
        steps=steps,
        sigma_min=options.sigma_min or low,
        sigma_max=options.sigma_max or high,
        model=model,
        rho=options.rho if takes_rho else None,
        beta_shape=(options.beta_dist_alpha, options.beta_dist_beta),
        step_tables=step_tables,
    )


def _then_zero(sigmas: Tensor | Sequence[float]) -> Tensor:
    return torch.cat([torch.as_tensor(sigmas, dtype=torch.float32), torch.zeros(1)])


def uniform(inputs: ScheduleInputs) -> Tensor:
    """Evenly spaced timesteps from the last to the first."""
    return inputs.model.uniform(inputs.steps)


def karras(inputs: ScheduleInputs) -> Tensor:
    """Karras et al. (2022), arXiv:2206.00364, equation 5; after k-diffusion."""
    rho = inputs.rho or 7.0
    ramp = torch.linspace(0, 1, inputs.steps)
    low, high = inputs.sigma_min ** (1 / rho), inputs.sigma_max ** (1 / rho)
    return _then_zero((high + ramp * (low - high)) ** rho)


def exponential(inputs: ScheduleInputs) -> Tensor:
    """Evenly spaced in the logarithm of sigma; after k-diffusion."""
    return _then_zero(torch.linspace(math.log(inputs.sigma_max), math.log(inputs.sigma_min), inputs.steps).exp())


def polyexponential(inputs: ScheduleInputs) -> Tensor:
    """A power of an even ramp in the logarithm of sigma; after k-diffusion."""
    ramp = torch.linspace(1, 0, inputs.steps) ** (inputs.rho or 1.0)
    low, high = math.log(inputs.sigma_min), math.log(inputs.sigma_max)
    return _then_zero((ramp * (high - low) + low).exp())


def normal(inputs: ScheduleInputs) -> Tensor:
    """Evenly spaced timesteps between those of sigma_max and sigma_min."""
    return _then_zero(inputs.model.t_to_sigma(torch.linspace(*_timestep_range(inputs), inputs.steps)))


def sgm_uniform(inputs: ScheduleInputs) -> Tensor:
    """Stability's generative-models spacing: one point more than Normal, the last left out."""
    return _then_zero(inputs.model.t_to_sigma(torch.linspace(*_timestep_range(inputs), inputs.steps + 1)[:-1]))


def _timestep_range(inputs: ScheduleInputs) -> tuple[float, float]:
    ends = inputs.model.sigma_to_t(torch.tensor([inputs.sigma_max, inputs.sigma_min]))
    return float(ends[0]), float(ends[1])


def kl_optimal(inputs: ScheduleInputs) -> Tensor:
    """Sabour et al. (2024), arXiv:2404.14507, section 3.3. As in A1111 it ends at sigma_min, without a zero."""
    position = torch.arange(inputs.steps + 1) / inputs.steps
    low, high = (torch.tensor(sigma).arctan() for sigma in (inputs.sigma_min, inputs.sigma_max))
    return torch.tan(position * low + (1.0 - position) * high)


def simple(inputs: ScheduleInputs) -> Tensor:
    """Every (1000 / steps)-th trained level, counted from the noisiest."""
    levels = inputs.model.sigmas
    stride = len(levels) / inputs.steps
    return _then_zero(torch.stack([levels[-(1 + int(k * stride))] for k in range(inputs.steps)]))


def ddim(inputs: ScheduleInputs) -> Tensor:
    """Every whole-numbered stride of trained levels from the second on: more than `steps` if that does not divide."""
    levels = inputs.model.sigmas
    return _then_zero(levels[1 :: max(len(levels) // inputs.steps, 1)].flip(0))


def beta(inputs: ScheduleInputs) -> Tensor:
    """Lee et al. (2024), arXiv:2407.12173. As in A1111 the quantiles are taken on sigma, not on the timestep.

    Models trained by flow matching came after it, and everybody takes them on the timestep there.
    """
    if isinstance(inputs.model, FlowSigmas):
        return _beta_of_timesteps(inputs)
    quantiles = [beta_quantile(q, *inputs.beta_shape) for q in 1 - np.linspace(0, 1, inputs.steps)]
    return _then_zero([inputs.sigma_min + x * (inputs.sigma_max - inputs.sigma_min) for x in quantiles])


def _beta_of_timesteps(inputs: ScheduleInputs) -> Tensor:
    """Trained levels at the quantiles, without those that a level comes up for twice."""
    levels = inputs.model.sigmas
    shares = 1 - np.arange(inputs.steps) / inputs.steps
    places = [round(beta_quantile(share, *inputs.beta_shape) * (len(levels) - 1)) for share in shares]
    return _then_zero(levels[list(dict.fromkeys(places))])


def turbo(inputs: ScheduleInputs) -> Tensor:
    """Forge's spacing for distilled models: the ends of equal stretches of timesteps, rounded to whole ones."""
    last = len(inputs.model.sigmas) - 1
    ends = torch.arange(1, inputs.steps + 1) * float(1000.0 / inputs.steps) - 1
    return _then_zero(inputs.model.t_to_sigma(ends.flip(0).round().clamp(0, last)))


def _tabled(table: StepTable) -> ScheduleFunction:
    """A schedule published as a list of levels, stretched to the steps in the logarithm of sigma."""

    def tabled(inputs: ScheduleInputs) -> Tensor:
        levels = table.sdxl if inputs.step_tables == "SDXL" else table.sd1
        if inputs.steps == len(levels):
            return _then_zero(levels)
        # A1111 interpolates from the small end, so that a single step is the smallest level.
        wanted, given = np.linspace(0, 1, inputs.steps), np.linspace(0, 1, len(levels))
        return _then_zero(np.exp(np.interp(wanted, given, np.log(levels[::-1])))[::-1].tolist())

    return tabled


SCHEDULE_FUNCTIONS: Final[dict[str, ScheduleFunction]] = {
    "Automatic": uniform,
    "Uniform": uniform,
    "Karras": karras,
    "Exponential": exponential,
    "Polyexponential": polyexponential,
    "SGM Uniform": sgm_uniform,
    "KL Optimal": kl_optimal,
    "Align Your Steps": _tabled(AYS),
    "Simple": simple,
    "Normal": normal,
    "DDIM": ddim,
    "Beta": beta,
    "Turbo": turbo,
    "Align Your Steps GITS": _tabled(GITS),
    "Align Your Steps 11": _tabled(AYS_11),
    "Align Your Steps 32": _tabled(AYS_32),
}
