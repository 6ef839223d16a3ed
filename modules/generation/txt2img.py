"""txt2img: a pass from noise."""

from __future__ import annotations

from torch import Tensor

from modules.generation.image_conditioning import of_nothing
from modules.generation.passes import latent_shape, run_pass
from modules.generation.pipeline import Pass, Pipeline, Progress
from modules.parameters import ResolvedRequest


def txt2img(pipeline: Pipeline, resolved: ResolvedRequest, images: range, progress: Progress) -> Tensor:
    """The first pass: latents (images, channels, height/8, width/8), float32, of the images with these indexes."""
    spec = resolved.passes[0]

    def extra(shown: Pipeline) -> Tensor | None:
        return of_nothing(shown.model, len(images), latent_shape(shown, spec.size)[1:])

    work = Pass(spec, extra_channels=extra(pipeline), refiner_channels=extra)
    return run_pass(pipeline, resolved, images, work, progress)
