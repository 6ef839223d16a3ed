"""The denoising passes of a request as values: sampler and schedule, prompts, steps and size of each."""

from __future__ import annotations

from dataclasses import dataclass

from modules.parameters.hires_size import hires_size
from modules.parameters.job_options import TokenMergingOptions
from modules.parameters.pass_samplers import Samplers
from modules.parameters.request import GenerationRequest
from modules.parameters.samplers import SamplerChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSpec:
    """What one pass does.

    `size` is (width, height) in pixels. With a `strength` the pass starts from a picture; `exact_steps` then takes all
    of `steps`, as hires passes do, and not their share. `first_calls` is set for a hires pass: the model calls of the
    pass before, which prompt schedules count from. `token_merging` is the share of tokens merged in self-attention.
    `distilled_cfg_scale` is by how much the noise levels of a model trained by flow matching are moved, or the guidance
    that it was distilled with, as its family has it; 0 leaves its own.
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
    distilled_cfg_scale: float = 0.0


def passes_of(request: GenerationRequest, samplers: Samplers, merging: TokenMergingOptions) -> tuple[PassSpec, ...]:
    """The first pass, and the hires pass if there is one, each with its one of `samplers`."""
    first = PassSpec(
        choice=samplers[0],
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        size=(request.width, request.height),
        strength=request.denoising_strength if request.mode == "img2img" else None,
        token_merging=merging.first_pass(request.mode),
        distilled_cfg_scale=request.distilled_cfg_scale,
    )
    if not request.has_hires_pass:
        return (first,)
    hires = PassSpec(
        choice=samplers[1],
        prompt=request.hr_prompt or request.prompt,
        negative_prompt=request.hr_negative_prompt or request.negative_prompt,
        steps=request.hr_second_pass_steps or request.steps,
        cfg_scale=request.cfg_scale if request.hr_cfg is None else request.hr_cfg,
        size=hires_size(request).final,
        strength=request.denoising_strength,
        exact_steps=True,
        first_calls=first.choice.sampler.call_count(request.steps),
        token_merging=merging.hires_pass,
        distilled_cfg_scale=request.distilled_cfg_scale,
    )
    return first, hires
