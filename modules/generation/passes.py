"""One denoising pass, whatever starts it: noise alone, a picture, or a smaller picture of the same job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from modules.catalogue.refusals import refiner_refusal, sampler_refusal, size_refusal
from modules.families import EDITING
from modules.generation.conditions import Conditioner, ConditionsOf, EncodeTexts, conditions_for
from modules.generation.pipeline import Pass, PassContext, PassHook, Pipeline, Progress, residuals_of
from modules.generation.token_merging import tokens_merged
from modules.generation.unet import replayed, unet_function, unet_of
from modules.parameters import RequestError, ResolvedRequest
from modules.parameters.infotext_options import has_bracket
from modules.parameters.job_options import JobOptions
from modules.parameters.passes import PassSpec
from modules.parameters.sampler_options import SamplerOptions
from modules.prompt import (
    ConditioningPlan,
    NetworkUse,
    extract_networks,
    network_uses,
    parse_presets,
    plan_conditioning,
)
from modules.sampling import (
    ConditionsAt,
    EdmSigmas,
    FlowSigmas,
    GuidanceOptions,
    GuidedUNet,
    ImageNoise,
    ModelSigmas,
    RefinerSwitch,
    SamplingPlan,
    Step,
    Variation,
    overriding,
    plan_run,
    require_finite,
    sample,
)
from modules.weights.model import Model


def run_pass(pipeline: Pipeline, resolved: ResolvedRequest, images: range, work: Pass, progress: Progress) -> Tensor:
    """Run one pass for the images with these indexes of the job, as one batch.

    Returns latents (images, channels, height/8, width/8), float32; the latest estimate if a hook interrupts. Where the
    refiner took over they are its own, and `pipeline` is gone.

    Raises:
        UnetOverflow: the UNet's answers or the result are not finite.
        RequestError: the refiner is of other latents, or the sampler can't be used with a checkpoint.
    """
    spec, settings = work.spec, resolved.settings
    options = settings.sampling
    _check_sampler(pipeline.model, spec)
    _check_tiling(pipeline.model, resolved)
    _check_size(pipeline.model, spec)
    plan = plan_run(
        spec.choice,
        spec.steps,
        model_sigmas(pipeline.model, options, spec),
        options,
        strength=spec.strength,
        exact_steps=spec.exact_steps,
        step_tables=pipeline.model.family.step_tables,
    )
    with ExitStack() as in_use:
        networks = networks_of(resolved, spec.prompt)
        read_with = networks
        if spec.first_calls is not None and settings.prompts.hires_with_first_networks:
            read_with = networks_of(resolved, resolved.passes[0].prompt)
        ready = _Ready(in_use, networks, read_with, work, progress, resolved, images, plan)
        first = ready.guided(pipeline, work.extra_channels)
        latents = sample(
            plan,
            first.unet,
            first.conditions,
            pass_noise(pipeline, resolved, images, spec.size, work.noise, ready.first_noise),
            first.guidance,
            prediction_type=first.prediction_type,
            init_latent=work.init_latent,
            noise_multiplier=work.noise_multiplier,
            mask=work.mask,
            extra_channels=first.extra_channels,
            on_step=lambda step: _report(step, ready),
            before_call=lambda call: ready.before_call(),
            refiner=_refiner_switch(pipeline, resolved, ready),
        )
    require_finite(latents)
    return latents


@dataclass(slots=True)
class _Ready:
    """Gets a checkpoint ready for a pass. `in_use` holds what has to be undone before another UNet runs.

    Its texts are encoded with the networks `read_with`, its UNet computes with `networks`.
    """

    in_use: ExitStack
    networks: tuple[NetworkUse, ...]
    read_with: tuple[NetworkUse, ...]
    work: Pass
    progress: Progress
    resolved: ResolvedRequest
    images: range
    plan: SamplingPlan
    step: int = 1
    steps_before: int = 0
    at_step: Callable[[int], None] = lambda step: None
    hooks: tuple[PassHook, ...] = ()

    def first_noise(self, noise: Tensor) -> Tensor:
        """The first noise as the hooks of the checkpoint that begins change it."""
        for hook in self.hooks:
            noise = hook.first_noise(noise)
        return noise

    def report(self, step: int, denoised: Tensor) -> None:
        """Step `step`, those before the pass's own included, is done."""
        self.progress.on_step(step, self.steps_before + self.plan.steps, denoised)

    def before_call(self) -> None:
        self.progress.before_call()
        self.at_step(self.step)

    def guided(self, pipeline: Pipeline, extra_channels: Tensor | None, *, is_refiner: bool = False) -> GuidedUNet:
        """Its UNet with everything that the pass's sampling needs of it."""
        model, work, settings = pipeline.model, self.work, self.resolved.settings
        self.at_step = self.in_use.enter_context(pipeline.networks(self.read_with))
        hooks = self.hooks = self._hooks(pipeline, is_refiner=is_refiner)
        if not is_refiner:
            self.steps_before = sum(hook.steps_before for hook in hooks)
        patches, residuals = overriding(hooks, "patched", PassHook), residuals_of(hooks)
        if patches or residuals is not None:
            # Before they read texts, which models without a UNet read otherwise.
            unet_of(model)
        conditions = self._conditions(pipeline, hooks)
        guidance = guidance_of(pipeline, work, settings, self.progress, hooks)
        if self.networks != self.read_with:
            self.in_use.close()
            self.at_step = self.in_use.enter_context(pipeline.networks(self.networks))
        # A recorded step would not see networks come and go, nor what patches do.
        graphs = None if patches or any(use.has_steps for use in self.networks) else pipeline.graphs
        cells = latent_shape(pipeline, work.spec.size)[1:]
        for hook in hooks:
            cells = hook.forward_cells(cells)
        self.in_use.enter_context(merging(pipeline, work.spec, self.progress, cells))
        for hook in patches:
            self.in_use.enter_context(hook.patched(unet_of(model)))
        forward = self.in_use.enter_context(replayed(model.unet, graphs))
        unet = unet_function(model.unet, channels_last=pipeline.channels_last, forward=forward, residuals=residuals)
        for hook in hooks:
            unet = hook.around(unet)
        return GuidedUNet(
            unet,
            conditions,
            guidance,
            model_sigmas(model, settings.sampling, work.spec),
            model.predicts.kind,
            extra_channels,
        )

    def _conditions(self, pipeline: Pipeline, hooks: Sequence[PassHook]) -> ConditionsAt:
        """What guides each call, as the hooks have it."""
        spec, settings = self.work.spec, self.resolved.settings
        encode: EncodeTexts = conditioner_of(pipeline, spec, settings).of_texts
        for hook in hooks:
            encode = hook.encoding(encode)

        def planned(prompts: Sequence[str], negatives: Sequence[str]) -> ConditionsAt:
            old = settings.prompts.use_old_scheduling
            return conditions_for(_plan_texts(spec, prompts, negatives, self.progress, old=old), encode)

        conditions_of: ConditionsOf = planned
        for hook in hooks:
            conditions_of = hook.conditions(conditions_of)
        # Tags of extra networks are no text. Negative prompts are not searched for them, as in A1111.
        prompt, _ = extract_networks(spec.prompt)
        return conditions_of([prompt] * len(self.images), [spec.negative_prompt] * len(self.images))

    def _hooks(self, pipeline: Pipeline, *, is_refiner: bool) -> tuple[PassHook, ...]:
        """What features do in this pass with this checkpoint."""
        context = PassContext(pipeline, self.resolved, self.images, self.work, self.plan, is_refiner, self.report)
        return tuple(hook for one in pipeline.features(self.resolved) for hook in one.before_pass(context))


def _refiner_switch(pipeline: Pipeline, resolved: ResolvedRequest, ready: _Ready) -> RefinerSwitch | None:
    """When the refiner takes over a pass that `pipeline` begins, None if it does not."""
    request, options = resolved.request, resolved.settings.refiner
    hires, two_passes = ready.work.spec.first_calls is not None, request.has_hires_pass
    load, began = pipeline.refiner, pipeline.model.family
    if load is None or not request.has_refiner or not options.works_in(hires=hires, two_passes=two_passes):
        return None

    def take_over() -> GuidedUNet:
        ready.in_use.close()
        refiner = load()
        if (why := refiner_refusal(began, refiner.model.family)) is not None:
            raise RequestError(why)
        _check_sampler(refiner.model, ready.work.spec)
        ready.progress.effects.add("refiner")
        extra = None if ready.work.refiner_channels is None else ready.work.refiner_channels(refiner)
        return ready.guided(refiner, extra, is_refiner=True)

    return RefinerSwitch(request.refiner_switch_at, take_over, options.by_sample_steps)


def _check_sampler(model: Model, spec: PassSpec) -> None:
    if (why := sampler_refusal(spec.choice, model.predicts.kind, model.path.name)) is not None:
        raise RequestError(why)


def _check_size(model: Model, spec: PassSpec) -> None:
    # A hires pass leaves out what makes no whole cell, with every family.
    hires = spec.first_calls is not None
    if not hires and (why := size_refusal(model.family, spec.size, model.path.name)) is not None:
        raise RequestError(why)


def _check_tiling(model: Model, resolved: ResolvedRequest) -> None:
    if resolved.is_tiled and not isinstance(model.unet, UNet2DConditionModel):
        raise RequestError(
            f"Tiling joins edges inside of a UNet, which {model.path.name}, a {model.family.label} model, has none of: "
            "turn Tiling off."
        )


def conditioner_of(pipeline: Pipeline, spec: PassSpec, settings: JobOptions) -> Conditioner:
    """What turns a pass's texts into conditions."""
    model = pipeline.model
    guidance = model.family.guidance(spec.distilled_cfg_scale)
    return Conditioner(pipeline.encoder, model.family, settings, spec.size, pipeline.device, model.unet.dtype, guidance)


@contextmanager
def merging(
    pipeline: Pipeline, spec: PassSpec, progress: Progress, cells: tuple[int, int] | None = None
) -> Iterator[None]:
    """While open, self-attention merges tokens at the ratio of the pass, in forwards over `cells` of the latent."""
    cells = cells or latent_shape(pipeline, spec.size)[1:]
    unet = pipeline.model.unet
    if not isinstance(unet, UNet2DConditionModel):
        yield
        return
    with tokens_merged(unet, spec.token_merging, cells, pipeline.device) as acts:
        if acts:
            progress.effects.add("token_merging")
        yield


def networks_of(resolved: ResolvedRequest, prompt: str) -> tuple[NetworkUse, ...]:
    """The networks that a pass with this prompt applies."""
    if resolved.request.disable_extra_networks:
        return ()
    return network_uses(extract_networks(prompt)[1], parse_presets(resolved.settings.networks.block_presets))[0]


def _plan_texts(
    spec: PassSpec, prompts: Sequence[str], negatives: Sequence[str], progress: Progress, *, old: bool
) -> ConditioningPlan:
    """Texts of the pass by the present number rule of prompt editing, or by that before A1111 1.6 (`old`)."""
    # Prompt schedules are made for all the steps of the request, also where a picture as start spares some.
    calls = spec.choice.sampler.call_count(spec.steps)
    first, hires = (calls, None) if spec.first_calls is None else (spec.first_calls, calls)
    plan = plan_conditioning(prompts, negatives, first, hires, old=old)
    if old and plan != plan_conditioning(prompts, negatives, first, hires):
        progress.effects.add("old_scheduling")
    if any(has_bracket(text) for batch in plan.batches for text in batch):
        progress.effects.add("brackets")
    return plan


def _report(step: Step, ready: _Ready) -> None:
    ready.step = step.index + 2
    ready.report(ready.steps_before + step.index + 1, step.denoised)


def model_sigmas(model: Model, options: SamplerOptions, spec: PassSpec) -> ModelSigmas:
    """The noise levels that the checkpoint was trained on, as the options change them: not those of EDM.

    Those of flow matching are moved by the pass's shift, unless it is 0, instead of by the family's own.
    """
    if (flow := model.family.noise(spec.distilled_cfg_scale)) is not None:
        width, height = (side // model.vae_factor for side in spec.size)
        return FlowSigmas(flow, width * height)
    if (training := model.predicts.edm) is not None:
        return EdmSigmas(training)
    return ModelSigmas.from_training(
        model.noise.alphas_cumprod(),
        zero_terminal_snr=model.predicts.zero_terminal_snr or options.zero_terminal_snr,
        downcast=options.use_downcasted_alpha_bar,
        quantize=options.enable_quantization,
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
    first: Tensor | None = None,
    change_first: Callable[[Tensor], Tensor] | None = None,
) -> ImageNoise:
    """The noise of these images at `size` pixels, from their own seeds unless the `first` draw is given.

    `change_first` is what becomes of the first draw. Fresh for every pass.
    """
    request, options = resolved.request, resolved.settings.sampling
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
        change_first=change_first,
    )


def guidance_of(
    pipeline: Pipeline, work: Pass, settings: JobOptions, progress: Progress, hooks: Sequence[PassHook] = ()
) -> GuidanceOptions:
    """How a pass is guided by its scales, the job's options and the hooks of features."""
    options = settings.sampling
    # Where each text counts with its own tokens nothing is filled up.
    padded, repeated = (
        (False, False) if pipeline.model.family.parts_apart else (options.pad_cond_uncond, options.pad_cond_uncond_v0)
    )
    image_cfg_scale = work.image_cfg_scale if pipeline.model.unet_channels == EDITING else None
    return GuidanceOptions(
        cfg_scale=work.spec.cfg_scale,
        # At 1 the third forward changes nothing, and without it AND works, as in A1111.
        image_cfg_scale=None if image_cfg_scale == 1.0 else image_cfg_scale,
        min_sigma=options.s_min_uncond,
        min_sigma_all=options.s_min_uncond_all,
        skip_early=options.skip_early_cond,
        pad_with_empty=padded,
        pad_with_last=repeated,
        empty_context=conditioner_of(pipeline, work.spec, settings).empty_context() if padded else None,
        one_batch=options.batch_cond_uncond,
        on_effect=progress.effects.add,
        shown=progress.shown,
        hooks=tuple(hooks),
    )
