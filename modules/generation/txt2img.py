"""txt2img: a first pass from noise, and if asked for a hires pass over the enlarged result."""

from __future__ import annotations

from torch import Tensor

from modules.generation.passes import Engine, Pass, Progress, run_pass
from modules.parameters import ResolvedRequest


def txt2img(engine: Engine, resolved: ResolvedRequest, images: range, progress: Progress) -> Tensor:
    """The first pass: latents (images, channels, height/8, width/8), float32, of the images with these indexes."""
    request = resolved.request
    first = Pass(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        sampler_name=request.sampler_name,
        scheduler=request.scheduler,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        size=(request.width, request.height),
    )
    return run_pass(engine, resolved, images, first, progress)
