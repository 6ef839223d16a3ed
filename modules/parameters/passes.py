"""The denoising passes of a request as values: sampler and schedule found, prompts, steps and sizes of each."""

from __future__ import annotations

from dataclasses import dataclass

from modules.parameters.hires_size import hires_size
from modules.parameters.job_options import TokenMergingOptions
from modules.parameters.request import SAME_SAMPLER, SAME_SCHEDULE, GenerationRequest
from modules.parameters.samplers import SamplerChoice, resolve_sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSpec:
    """What one pass does.

    `size` is (width, height) in pixels. With a `strength` the pass starts from a picture; `exact_steps` then takes all
    of `steps`, as hires passes do, and not their share. `first_calls` is set for a hires pass: the model calls of the
    pass before, which prompt schedules count from. `token_merging` is the share of tokens merged in self-attention.
    """

    choice: SamplerChoice
    prompt: str
    negative_prompt: str
    steps: int
    cfg_scale: float
    size: tuple[int, int]
    strength: float | None = None
    exact_steps: bool = False
    first_calls: int | None = None
    token_merging: float = 0.0


def sampler_choices(request: GenerationRequest, *, strict: bool = False) -> tuple[SamplerChoice, ...]:
    """Sampler and schedule of the first pass, and of the hires pass if there is one.

    Raises UnknownSamplerError or UnknownScheduleError (`strict` only); else an unknown name is the first of its list.
    """
    first = resolve_sampler(request.sampler_name, request.scheduler, strict=strict)
    if not request.has_hires_pass:
        return (first,)
    hires = resolve_sampler(
        first.sampler.label if request.hr_sampler_name == SAME_SAMPLER else request.hr_sampler_name,
        first.schedule.label if request.hr_scheduler == SAME_SCHEDULE else request.hr_scheduler,
        strict=strict,
    )
    return first, hires


def passes_of(request: GenerationRequest, merging: TokenMergingOptions) -> tuple[PassSpec, ...]:
    """The first pass, and the hires pass if there is one.

    Raises UnknownSamplerError or UnknownScheduleError for a name that is in no table.
    """
    choices = sampler_choices(request, strict=True)
    first = PassSpec(
        choice=choices[0],
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        size=(request.width, request.height),
        strength=request.denoising_strength if request.mode == "img2img" else None,
        token_merging=merging.first_pass(request.mode),
    )
    if len(choices) == 1:
        return (first,)
    hires = PassSpec(
        choice=choices[1],
        prompt=request.hr_prompt or request.prompt,
        negative_prompt=request.hr_negative_prompt or request.negative_prompt,
        steps=request.hr_second_pass_steps or request.steps,
        cfg_scale=request.cfg_scale if request.hr_cfg is None else request.hr_cfg,
        size=hires_size(request).final,
        strength=request.denoising_strength,
        exact_steps=True,
        first_calls=first.choice.sampler.call_count(request.steps),
        token_merging=merging.hires_pass,
    )
    return first, hires
