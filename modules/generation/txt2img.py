"""txt2img: a pass from noise."""

from __future__ import annotations

from torch import Tensor

from modules.generation.image_conditioning import of_nothing
from modules.generation.passes import Pass, Pipeline, Progress, latent_shape, run_pass
from modules.parameters import ResolvedRequest
from modules.parameters.token_merging import merging_ratio


def txt2img(pipeline: Pipeline, resolved: ResolvedRequest, images: range, progress: Progress) -> Tensor:
    """The first pass: latents (images, channels, height/8, width/8), float32, of the images with these indexes."""
    request = resolved.request
    size = (request.width, request.height)
    first = Pass(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        sampler_name=request.sampler_name,
        scheduler=request.scheduler,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        size=size,
        extra_channels=of_nothing(pipeline.model, len(images), latent_shape(pipeline, size)[1:]),
        token_merging=merging_ratio(resolved.options, "txt2img"),
    )
    return run_pass(pipeline, resolved, images, first, progress)
