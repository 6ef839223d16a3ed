"""The txt2img pass: from seeds and prompts to finished latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, get_args

import torch
from torch import Tensor

from modules.generation.conditioning import EncodingOptions, PromptEncoder
from modules.generation.conditions import conditions_for, empty_context
from modules.generation.unet import unet_function
from modules.parameters import ResolvedRequest
from modules.parameters.samplers import resolve_sampler
from modules.prompt import Emphasis, plan_conditioning
from modules.sampling import (
    GuidanceOptions,
    ImageNoise,
    ModelSigmas,
    SamplerOptions,
    SamplingPlan,
    Step,
    Variation,
    plan_run,
    sample,
)
from modules.weights.model import Model


class UnetOverflow(RuntimeError):
    """The UNet answered with something that is no number."""


OVERFLOW: Final = (
    "A tensor with NaNs was produced in Unet: the checkpoint overflows half precision or is broken. "
    "Start with --no-half, or choose another checkpoint."
)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a pass tells while it runs: `on_step(step, steps, denoised)` after each step, `before_call()` before each
    model call. Either may raise `modules.sampling.Interrupted`."""

    on_step: Callable[[int, int, Tensor], None]
    before_call: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Engine:
    """What a pass works with: the checkpoint, its prompt encoder and where it runs."""

    model: Model
    encoder: PromptEncoder
    device: torch.device
    channels_last: bool


def txt2img(engine: Engine, resolved: ResolvedRequest, images: range, progress: Progress) -> Tensor:
    """Sample the images with these indexes of the job, as one batch: latents (images, 4, height/8, width/8), float32.

    If a hook interrupts, the latest estimate is returned. Raises UnetOverflow if the result is not finite.
    """
    request, options = resolved.request, resolved.options
    sampler_options = SamplerOptions.from_options(options)
    plan = plan_run(
        resolve_sampler(request.sampler_name, request.scheduler, strict=True),
        request.steps,
        _model_sigmas(engine.model, sampler_options),
        sampler_options,
    )
    encoding = encoding_options(resolved)
    dtype = engine.model.unet.dtype
    conditioning = plan_conditioning(
        [request.prompt] * len(images),
        [request.negative_prompt] * len(images),
        plan.total_calls,
        old=bool(options.get("use_old_scheduling", False)),
    )
    latents = sample(
        plan,
        unet_function(engine.model.unet, channels_last=engine.channels_last),
        conditions_for(conditioning, engine.encoder, encoding, device=engine.device, dtype=dtype),
        first_noise(engine, resolved, images, sampler_options),
        guidance_options(engine, resolved, sampler_options, encoding),
        prediction_type=engine.model.prediction_type,
        on_step=lambda step: _report(progress, plan, step),
        before_call=lambda call: progress.before_call(),
    )
    if not torch.isfinite(latents).all():
        raise UnetOverflow(OVERFLOW)
    return latents


def _report(progress: Progress, plan: SamplingPlan, step: Step) -> None:
    progress.on_step(step.index + 1, plan.steps, step.denoised)


def _model_sigmas(model: Model, options: SamplerOptions) -> ModelSigmas:
    return ModelSigmas.from_training(
        model.noise.alphas_cumprod(),
        zero_terminal_snr=model.zero_terminal_snr or options.zero_terminal_snr,
        downcast=options.use_downcasted_alpha_bar,
        quantize=options.enable_quantization,
    )


def encoding_options(resolved: ResolvedRequest) -> EncodingOptions:
    """How this job's text is encoded, from the options recorded with it."""
    options = resolved.options
    modes: tuple[Emphasis, ...] = get_args(Emphasis)
    emphasis = next((mode for mode in modes if mode == options.get("emphasis")), "Original")
    return EncodingOptions(
        emphasis=emphasis,
        clip_skip=int(str(options.get("CLIP_stop_at_last_layers", 1))),
        comma_padding_backtrack=int(str(options.get("comma_padding_backtrack", 20))),
    )


def first_noise(engine: Engine, resolved: ResolvedRequest, images: range, options: SamplerOptions) -> ImageNoise:
    """The noise of these images at the request's size, from their own seeds."""
    request = resolved.request
    factor = engine.model.vae_factor
    resize = (request.seed_resize_from_h // factor, request.seed_resize_from_w // factor)
    variation = Variation(tuple(resolved.subseeds[i] for i in images), request.subseed_strength)
    return ImageNoise(
        (engine.model.latent_channels, request.height // factor, request.width // factor),
        [resolved.seeds[i] for i in images],
        source=options.randn_source,
        device=engine.device,
        variation=variation if request.subseed_strength > 0 else None,
        resize_from=resize if min(resize) > 0 else None,
        seed_delta=options.eta_noise_seed_delta,
    )


def guidance_options(
    engine: Engine, resolved: ResolvedRequest, options: SamplerOptions, encoding: EncodingOptions
) -> GuidanceOptions:
    """Guidance as request and options ask for it."""
    padded = options.pad_cond_uncond
    dtype = engine.model.unet.dtype
    return GuidanceOptions(
        cfg_scale=resolved.request.cfg_scale,
        min_sigma=options.s_min_uncond,
        min_sigma_all=options.s_min_uncond_all,
        skip_early=options.skip_early_cond,
        pad_with_empty=padded,
        pad_with_last=options.pad_cond_uncond_v0,
        empty_context=empty_context(engine.encoder, encoding, engine.device, dtype) if padded else None,
        one_batch=options.batch_cond_uncond,
    )
