"""What a sampling run will do, worked out before any model is called: levels, start, counts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from modules.families import StepTables
from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import Sampler, SamplerChoice
from modules.sampling.model_schedule import FlowSigmas, LcmSigmas, ModelSigmas
from modules.sampling.options import SolverOptions
from modules.sampling.samplers import RANGE_SAMPLERS
from modules.sampling.schedules import build_sigmas

# Denoising strength stops short of 1, or the last timestep would be missed.
_MAX_STRENGTH: Final = 0.999


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """A run worked out down to its noise levels, before any model is called.

    `levels` are descending sigmas (with the final 0 where the schedule has one) or ascending timesteps. `start` is
    the level the starting latent is brought to, `brownian_range` the lowest and highest sigma above 0 of the whole
    schedule. `steps` counts sampler steps, `total_calls` the model calls that prompt schedules and progress reckon
    with.
    """

    sampler: Sampler
    model: ModelSigmas
    levels: Tensor
    start: Tensor
    steps: int
    total_calls: int
    solver: SolverOptions
    options: SamplerOptions
    from_image: bool
    brownian_range: tuple[float, float]

    @property
    def is_flow(self) -> bool:
        """Whether levels are shares of noise, as models trained by flow matching know them."""
        return isinstance(self.model, FlowSigmas)

    def starting_latent(self, noise: Tensor, init_latent: Tensor | None = None) -> Tensor:
        """`noise` brought to the first level: alone for txt2img, over `init_latent` for img2img."""
        if self.is_flow:
            return self._flow_start(noise, init_latent)
        if self.sampler.family == "timestep":
            return self._timestep_start(noise, init_latent)
        if init_latent is not None:
            return init_latent + noise * self.start + noise * self.options.img2img_extra_noise
        return noise * ((1 + self.start**2).sqrt() if self.options.sgm_noise_multiplier else self.start)

    def _flow_start(self, noise: Tensor, init_latent: Tensor | None) -> Tensor:
        if init_latent is None:
            return noise * self.start
        extra = self.options.img2img_extra_noise * (1 - self.start)
        return init_latent * (1 - self.start) + noise * (self.start + extra)

    def _timestep_start(self, noise: Tensor, init_latent: Tensor | None) -> Tensor:
        if init_latent is None:
            return noise
        if not len(self.levels) and not int(self.start):
            return init_latent
        alpha_bar = self.model.alphas_cumprod[int(self.start)]
        mixed = init_latent * alpha_bar.sqrt() + noise * (1 - alpha_bar).sqrt()
        return mixed + noise * self.options.img2img_extra_noise * alpha_bar.sqrt()


def img2img_steps(steps: int, strength: float, *, exact: bool) -> tuple[int, int]:
    """(steps the schedule is made for, t_enc): the run then takes its last t_enc + 1 steps.

    As A1111: `exact` (hires passes, or the option img2img_fix_steps) stretches the schedule so that exactly `steps`
    are taken; otherwise the strength decides how many of them.
    """
    if exact:
        return (int(steps / min(strength, _MAX_STRENGTH)) if strength > 0 else 0), steps - 1
    return steps, int(min(strength, _MAX_STRENGTH) * steps)


def timestep_schedule(steps: int) -> Tensor:
    """Ascending timesteps of DDIM, PLMS and UniPC: more than `steps` of them if 1000 cannot be divided evenly."""
    return (torch.arange(0, 1000, max(1000 // steps, 1)) + 1).clamp(0, 999)


def plan_run(
    choice: SamplerChoice,
    steps: int,
    model: ModelSigmas,
    options: SamplerOptions,
    *,
    strength: float | None = None,
    exact_steps: bool = False,
    eta: float | None = None,
    step_tables: StepTables = "SD1",
) -> SamplingPlan:
    """Work out a run. `strength` (denoising strength) makes it start from an image; see `img2img_steps`.

    `eta`, when given, wins over the option of the sampler's kind.
    """
    sampler = choice.sampler
    exact = exact_steps or options.img2img_fix_steps
    schedule_steps, t_enc = (steps, 0) if strength is None else img2img_steps(steps, strength, exact=exact)
    taken = steps if strength is None else t_enc + 1
    flow = isinstance(model, FlowSigmas)
    if sampler.family == "lcm" and options.lcm_distilled_timesteps and not flow:
        model = LcmSigmas(model)
    whole = _whole_schedule(choice, schedule_steps, model, options, step_tables)
    levels, start = _entered(whole, sampler, schedule_steps, None if strength is None else t_enc)
    positive = whole[whole > 0]
    plan = SamplingPlan(
        sampler=sampler,
        model=model,
        levels=levels,
        start=start,
        steps=taken,
        total_calls=sampler.call_count(taken),
        solver=_solver_options(sampler, options, eta, from_image=strength is not None, churns=not flow),
        options=options,
        from_image=strength is not None,
        brownian_range=(float(positive.min()), float(positive.max())) if len(positive) else (0.0, 0.0),
    )
    return _as_range(plan) if sampler.label in RANGE_SAMPLERS else plan


def _whole_schedule(
    choice: SamplerChoice, steps: int, model: ModelSigmas, options: SamplerOptions, step_tables: StepTables
) -> Tensor:
    sampler = choice.sampler
    if sampler.family == "timestep":
        if steps == 0:
            return torch.zeros(1, dtype=torch.long)
        return timestep_schedule(steps + options.always_discard_next_to_last_sigma)
    if steps == 0:
        return torch.zeros(1)
    return build_sigmas(
        choice.applied_schedule,
        steps,
        model,
        options,
        discard_penultimate=sampler.discards_penultimate,
        step_tables=step_tables,
    )


def _entered(whole: Tensor, sampler: Sampler, steps: int, t_enc: int | None) -> tuple[Tensor, Tensor]:
    """(levels to run over, level to start at); `t_enc` None means from the very beginning."""
    if sampler.family == "timestep":
        if t_enc is None:
            return whole, whole[-1]
        entry = 0 if steps == 0 else min(t_enc, len(whole) - 1)
        return whole[:entry], whole[entry]
    levels = whole if t_enc is None else whole[max(steps - t_enc - 1, 0) :]
    return levels, levels[0]


def _as_range(plan: SamplingPlan) -> SamplingPlan:
    """Reduce the levels to the two ends that DPM fast and adaptive go between.

    From noise these are the model's own, whatever the schedule; from an image the first and the last but one.
    """
    if not plan.from_image:
        ends, calls = torch.tensor([plan.model.sigma_max, plan.model.sigma_min]), plan.steps
    elif len(plan.levels) < 2:
        ends, calls = plan.levels, 0
    else:
        ends, calls = torch.stack([plan.levels[0], plan.levels[-2]]), len(plan.levels) - 1
    return replace(plan, levels=ends, solver=replace(plan.solver, calls=calls))


def _solver_options(
    sampler: Sampler, options: SamplerOptions, eta: float | None, *, from_image: bool, churns: bool
) -> SolverOptions:
    takes = set(sampler.settings)
    own_eta: float = getattr(options, sampler.eta or "eta_ancestral")
    return SolverOptions(
        eta=own_eta if eta is None else eta,
        s_churn=options.s_churn if "s_churn" in takes and churns else 0.0,
        s_tmin=options.s_tmin if "s_tmin" in takes else 0.0,
        s_tmax=(options.s_tmax if "s_tmax" in takes else 0.0) or math.inf,
        s_noise=options.s_noise if "s_noise" in takes else 1.0,
        solver_type=sampler.solver_type or "midpoint",
        is_img2img=from_image,
        uni_pc_variant=options.uni_pc_variant,
        uni_pc_skip_type=options.uni_pc_skip_type,
        uni_pc_order=options.uni_pc_order,
        uni_pc_lower_order_final=options.uni_pc_lower_order_final,
    )
