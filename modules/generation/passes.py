"""One denoising pass, whatever starts it: noise alone, a picture, or a smaller picture of the same job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from modules.generation.codec import Codec
from modules.generation.conditions import conditions_for, empty_context
from modules.generation.token_merging import tokens_merged
from modules.generation.unet import replayed, unet_function
from modules.hardware.graphs import StepGraphs
from modules.parameters import ResolvedRequest
from modules.parameters.infotext_options import has_bracket, passes_of
from modules.parameters.samplers import resolve_sampler
from modules.prompt import ConditioningPlan, Emphasis, extract_networks, plan_conditioning
from modules.sampling import (
    GuidanceOptions,
    ImageNoise,
    InpaintMask,
    ModelSigmas,
    SamplerOptions,
    SamplingPlan,
    Shown,
    Step,
    Variation,
    plan_run,
    require_finite,
    sample,
)
from modules.text.encoder import EncodingOptions, PromptEncoder
from modules.weights.model import Model


@dataclass(frozen=True, slots=True)
class Progress:
    """What a pass tells while it runs: `on_step(step, steps, denoised)` after each step, `before_call()` before each
    model call. Either may raise `modules.sampling.Interrupted`. `effects` gathers which of the options that act only
    sometimes really did: A1111 records those only then. `shown` says which estimate `denoised` is.
    """

    on_step: Callable[[int, int, Tensor], None]
    before_call: Callable[[], None]
    effects: set[str] = field(default_factory=set)
    shown: Shown = "Combined"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a pass works with: the checkpoint, its prompt encoder, where it runs, and what decodes and encodes.

    `graphs` replay its steps in the fast mode.
    """

    model: Model
    encoder: PromptEncoder
    device: torch.device
    channels_last: bool
    codec: Codec = field(default_factory=Codec)
    graphs: StepGraphs | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over some images of a job.

    `size` is (width, height) in pixels. With a `strength` the pass starts from `init_latent`, (images, channels,
    height/8, width/8); `exact_steps` then takes as many steps as were asked for, as hires passes do. `first_calls` is
    set for a hires pass: the model calls of the pass before, which prompt schedules count from. `noise` stands for what
    the seeds would draw first. `token_merging` is the share of tokens that self-attention takes as one with another.
    """

    prompt: str
    negative_prompt: str
    sampler_name: str
    scheduler: str
    steps: int
    cfg_scale: float
    size: tuple[int, int]
    strength: float | None = None
    init_latent: Tensor | None = None
    exact_steps: bool = False
    first_calls: int | None = None
    noise_multiplier: float = 1.0
    image_cfg_scale: float | None = None
    mask: InpaintMask | None = None
    extra_channels: Tensor | None = None
    noise: Tensor | None = None
    token_merging: float = 0.0


def run_pass(pipeline: Pipeline, resolved: ResolvedRequest, images: range, asked: Pass, progress: Progress) -> Tensor:
    """Run `asked` for the images with these indexes of the job, as one batch.

    Returns latents (images, channels, height/8, width/8), float32; the latest estimate if a hook interrupts.

    Raises:
        UnetOverflow: the UNet's answers or the result are not finite.
    """
    options = SamplerOptions.from_options(resolved.options)
    choice = resolve_sampler(asked.sampler_name, asked.scheduler, strict=True)
    plan = plan_run(
        choice,
        asked.steps,
        model_sigmas(pipeline.model, options),
        options,
        strength=asked.strength,
        exact_steps=asked.exact_steps,
    )
    encoding = encoding_options(resolved)
    # Tags of extra networks are no text. Negative prompts are not searched for them, as in A1111.
    prompt, _ = extract_networks(asked.prompt)
    # Prompt schedules are made for all the steps that were asked for, also where a picture as start spares some.
    calls = choice.sampler.call_count(asked.steps)
    conditioning = _plan_texts(
        prompt, asked, len(images), calls, bool(resolved.options.get("use_old_scheduling")), progress
    )
    unet = pipeline.model.unet
    with merging(pipeline, asked, progress), replayed(unet, pipeline.graphs) as forward:
        latents = sample(
            plan,
            unet_function(unet, channels_last=pipeline.channels_last, forward=forward),
            conditions_for(
                conditioning, pipeline.encoder, encoding, device=pipeline.device, dtype=pipeline.model.unet.dtype
            ),
            pass_noise(pipeline, resolved, images, asked.size, options, asked.noise),
            guidance_of(pipeline, asked, options, encoding, progress),
            prediction_type=pipeline.model.prediction_type,
            init_latent=asked.init_latent,
            noise_multiplier=asked.noise_multiplier,
            mask=asked.mask,
            extra_channels=asked.extra_channels,
            on_step=lambda step: _report(progress, plan, step),
            before_call=lambda call: progress.before_call(),
        )
    require_finite(latents)
    return latents


@contextmanager
def merging(pipeline: Pipeline, asked: Pass, progress: Progress) -> Iterator[None]:
    """While open, tokens are merged as the pass asks for."""
    cells = latent_shape(pipeline, asked.size)[1:]
    with tokens_merged(pipeline.model.unet, asked.token_merging, cells, pipeline.device) as acts:
        if acts:
            progress.effects.add("token_merging")
        yield


def _plan_texts(prompt: str, asked: Pass, images: int, calls: int, old: bool, progress: Progress) -> ConditioningPlan:
    """The texts of the pass by the present number rule of prompt editing, or by that before A1111 1.6 (`old`)."""
    first, hires = (calls, None) if asked.first_calls is None else (asked.first_calls, calls)
    texts = [prompt] * images, [asked.negative_prompt] * images
    plan = plan_conditioning(*texts, first, hires, old=old)
    if old and plan != plan_conditioning(*texts, first, hires):
        progress.effects.add("old_scheduling")
    if any(has_bracket(text) for batch in plan.batches for text in batch):
        progress.effects.add("brackets")
    return plan


def _report(progress: Progress, plan: SamplingPlan, step: Step) -> None:
    progress.on_step(step.index + 1, plan.steps, step.denoised)


def model_sigmas(model: Model, options: SamplerOptions) -> ModelSigmas:
    """The noise levels that the checkpoint was trained on, as the options change them."""
    return ModelSigmas.from_training(
        model.noise.alphas_cumprod(),
        zero_terminal_snr=model.zero_terminal_snr or options.zero_terminal_snr,
        downcast=options.use_downcasted_alpha_bar,
        quantize=options.enable_quantization,
    )


def shares_noise(resolved: ResolvedRequest) -> bool:
    """Whether the pictures of a batch are cut from one Brownian path, and so depend on each other.

    That is what the option no_dpmpp_sde_batch_determinism asks for, in A1111 as here.
    """
    asked = bool(resolved.options.get("no_dpmpp_sde_batch_determinism"))
    return asked and any(choice.sampler.brownian_noise for choice in passes_of(resolved.request))


def encoding_options(resolved: ResolvedRequest) -> EncodingOptions:
    """How this job's text is encoded, from the options recorded with it."""
    options = resolved.options
    modes: tuple[Emphasis, ...] = get_args(Emphasis)
    return EncodingOptions(
        emphasis=next((mode for mode in modes if mode == options.get("emphasis")), "Original"),
        clip_skip=int(str(options.get("CLIP_stop_at_last_layers", 1))),
        comma_padding_backtrack=int(str(options.get("comma_padding_backtrack", 20))),
        old_emphasis=bool(options.get("use_old_emphasis_implementation", False)),
    )


def latent_shape(pipeline: Pipeline, size: tuple[int, int]) -> tuple[int, int, int]:
    """One image's latent (channels, height, width) at a size in pixels."""
    factor = pipeline.model.vae_factor
    return pipeline.model.latent_channels, size[1] // factor, size[0] // factor


def pass_noise(
    pipeline: Pipeline,
    resolved: ResolvedRequest,
    images: range,
    size: tuple[int, int],
    options: SamplerOptions,
    first: Tensor | None = None,
) -> ImageNoise:
    """The noise of these images at `size` pixels, from their own seeds unless the `first` draw is given.

    Fresh for every pass.
    """
    request = resolved.request
    factor = pipeline.model.vae_factor
    resize = (request.seed_resize_from_h // factor, request.seed_resize_from_w // factor)
    variation = Variation(tuple(resolved.subseeds[i] for i in images), request.subseed_strength)
    return ImageNoise(
        latent_shape(pipeline, size),
        [resolved.seeds[i] for i in images],
        source=options.randn_source,
        device=pipeline.device,
        variation=variation if request.subseed_strength > 0 else None,
        resize_from=resize if min(resize) > 0 else None,
        seed_delta=options.eta_noise_seed_delta,
        first=first,
    )


def guidance_of(
    pipeline: Pipeline, asked: Pass, options: SamplerOptions, encoding: EncodingOptions, progress: Progress
) -> GuidanceOptions:
    """How a pass is guided, from what was asked and the options."""
    padded = options.pad_cond_uncond
    dtype = pipeline.model.unet.dtype
    return GuidanceOptions(
        cfg_scale=asked.cfg_scale,
        # At 1 the third forward changes nothing, and without it AND works, as in A1111.
        image_cfg_scale=None if asked.image_cfg_scale == 1.0 else asked.image_cfg_scale,
        min_sigma=options.s_min_uncond,
        min_sigma_all=options.s_min_uncond_all,
        skip_early=options.skip_early_cond,
        pad_with_empty=padded,
        pad_with_last=options.pad_cond_uncond_v0,
        empty_context=empty_context(pipeline.encoder, encoding, pipeline.device, dtype) if padded else None,
        one_batch=options.batch_cond_uncond,
        on_effect=progress.effects.add,
        shown=progress.shown,
    )
