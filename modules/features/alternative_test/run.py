"""img2img alternative test: the noise that a picture could have been made from, and made again from it.

Euler's method run backwards from the picture to the highest noise level. As A1111 v1.10.1.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from modules.features.alternative_test.declare import AlternativeTestArguments
from modules.features.alternative_test.inversion import euler_inversion
from modules.features.stage import Stage
from modules.generation.conditions import conditions_for
from modules.generation.img2img import Start, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.passes import conditioner_of, guidance_of, merging, model_sigmas, networks_of, pass_noise
from modules.generation.pipeline import Pass, Pipeline, Progress
from modules.generation.unet import unet_function
from modules.parameters import RequestError, ResolvedRequest
from modules.parameters.passes import PassSpec
from modules.parameters.samplers import resolve_sampler
from modules.prompt import plan_conditioning
from modules.sampling import require_finite
from modules.sampling.denoiser import SigmaPrediction
from modules.sampling.guidance import Guidance


def alternative_test(stage: Stage, index: int) -> Image.Image:
    """Picture `index`. The noise is found once for all of them; Randomness mixes in that of the picture's seed."""
    arguments, resolved = stage.read(AlternativeTestArguments), stage.resolved.of_image(index)
    if (family := stage.pipeline.model.family).flow is not None:
        raise RequestError(
            f"This script looks for the noise that was added to a picture, and {family.label} mixes it in: turn the "
            "script off, or choose another checkpoint."
        )
    source = prepare_init_picture(resolved, stage.pictures[0], None, stage.resize)
    if 0 not in stage.starts:
        start = start_of(stage.pipeline, resolved, range(1), source)
        spec, adjusted = decoding(resolved, arguments), arguments.sigma_adjustment
        noise = found_noise(stage.pipeline, resolved, start, spec, stage.progress(0, 2), adjusted=adjusted)
        stage.check()
        stage.starts[0] = replace(start, noise=noise)
    start = stage.starts[0]
    assert start.noise is not None
    drawn = pass_noise(stage.pipeline, resolved, range(1), resolved.passes[0].size).draw().to(start.noise)
    share = arguments.randomness
    noise = ((1 - share) * start.noise + share * drawn) / (share**2 + (1 - share) ** 2) ** 0.5
    highest = model_sigmas(stage.pipeline.model, resolved.settings.sampling, resolved.passes[0]).sigma_max
    # What is added to the picture, so that the pass begins with this noise and nothing of the picture.
    added = noise - start.latent.to(noise) / highest
    return stage.over(resolved, source, 1, 2, replace(start, noise=added))


def decoding(resolved: ResolvedRequest, arguments: AlternativeTestArguments) -> PassSpec:
    """The pass of which the run backwards is the reverse."""
    return PassSpec(
        choice=resolve_sampler("Euler"),
        prompt=arguments.original_prompt,
        negative_prompt=arguments.original_negative_prompt,
        steps=arguments.decode_steps,
        cfg_scale=arguments.decode_cfg,
        size=resolved.passes[0].size,
        token_merging=resolved.passes[0].token_merging,
    )


@torch.no_grad()
def found_noise(
    pipeline: Pipeline, resolved: ResolvedRequest, start: Start, spec: PassSpec, progress: Progress, *, adjusted: bool
) -> Tensor:
    """The noise, (images, channels, height, width), that Euler's method leads to from the start's latent.

    `adjusted` takes each step's direction at the level it comes from, and scales by the highest level instead of the
    result's own spread.
    """
    with pipeline.networks(networks_of(resolved, resolved.passes[0].prompt)):
        settings = resolved.settings
        model = model_sigmas(pipeline.model, settings.sampling, spec)
        conditioning = plan_conditioning([spec.prompt], [spec.negative_prompt], spec.steps, None)
        denoise = Guidance(
            SigmaPrediction(
                unet_function(pipeline.model.unet, channels_last=pipeline.channels_last),
                model,
                pipeline.model.predicts.kind,
            ),
            conditions_for(conditioning, conditioner_of(pipeline, spec, settings).of_texts),
            guidance_of(pipeline, Pass(spec), settings, progress),
            total_calls=spec.steps,
            extra_channels=start.extra,
            before_call=lambda call: progress.before_call(),
        )
        # They stay on the CPU, as a sampler's do: nothing waits for them, and the model's own levels lie there too.
        sigmas = model.uniform(spec.steps).flip(0)
        with merging(pipeline, spec, progress):
            x = euler_inversion(
                denoise,
                start.latent.to(pipeline.device),
                sigmas,
                lambda step, denoised: progress.on_step(step, spec.steps, denoised),
                from_below=adjusted,
            )
    require_finite(x)
    return x / sigmas[-1] if adjusted else x / x.std()
