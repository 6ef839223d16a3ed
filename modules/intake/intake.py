"""From a request to what it is resolved to: styles, comments, names, settings, checkpoint and seeds."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from modules.catalogue.controls import ControlFile
from modules.features.controlnet.plan import ControlFiles, check_families, check_preprocessor, with_found_models
from modules.features.detail.plan import check_detectors
from modules.features.planning import Picture, seeds_of
from modules.features.plans import INNER_PLANS, check_prompts, inner_plans_of, plan_of, with_drawn_seeds
from modules.features.table import scripts_of
from modules.intake.checkpoints import CheckpointChooser
from modules.intake.dynamic_prompts import DynamicPrompts, MergeStyles
from modules.intake.merger import MergerChooser
from modules.intake.networks import Listed, names_missing, tag_notices, with_standing_networks
from modules.parameters import (
    GenerationRequest,
    RequestError,
    ResolvedRequest,
    Variant,
    fixed_seeds,
    parse_request,
    resolve,
)
from modules.parameters.infotext_versions import old_first_pass_size
from modules.parameters.job_options import IntakeOptions, NetworkOptions, RefinerOptions
from modules.parameters.pass_samplers import Samplers, find_strictly, sampler_choices, with_labels
from modules.parameters.request import hires_checkpoint_name
from modules.parameters.samplers import SamplerChoice, UnknownSamplerError, resolve_sampler
from modules.parameters.schedules import UnknownScheduleError
from modules.parameters.token_merging import IMG2IMG, with_requested_ratio
from modules.prompt import blended, extract_networks
from modules.prompt.dynamic.drawing import Wildcards
from modules.settings import OptionError, OptionStore
from modules.settings.groups import option_value, read_options

_log = logging.getLogger(__name__)

# The settings that say which files a picture is made with.
MODELS: Final = frozenset({"sd_model_checkpoint", "sd_vae", "forge_additional_modules"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Resolves requests. `merge_styles` takes prompt, negative prompt and style names; `strip_comments` one prompt.

    `style_names` are the names of all saved styles. With `networks`, tags that name no network get a notice. `control`
    has the control models and preprocessors that units name, `wildcards` gives the wildcards of this moment.
    """

    options: OptionStore
    checkpoints: CheckpointChooser
    merge_styles: MergeStyles
    style_names: Callable[[], Collection[str]]
    strip_comments: Callable[[str], str]
    networks: Listed | None = None
    merger: MergerChooser | None = None
    wildcards: Callable[[], Wildcards] | None = None
    control: Callable[[str], ControlFile] | None = None
    annotators: Sequence[Path] = ()
    detectors: Callable[[], Sequence[str]] | None = None
    rng: random.Random = field(default_factory=random.SystemRandom)

    def resolve(self, request: GenerationRequest) -> ResolvedRequest:
        """What applies for `request` by the settings of this moment. Raises RequestError with one sentence."""
        overrides, notices = self._known(request.override_settings)
        try:
            options = self.options.snapshot(with_requested_ratio(overrides))
        except OptionError as error:
            raise RequestError(str(error)) from error
        if request.merger is not None and self.merger is not None:
            request = request.model_copy(update={"merger": self.merger.checked(request.merger)})
        if request.extras is not None and request.extras.preprocess is not None:
            check_preprocessor(request.extras.preprocess.module, self.annotators)
        if request.mode in ("extras", "modelmerger"):
            return resolve(request, options=options, rng=self.rng, notices=notices)
        checkpoint, model_notices = self.checkpoints.choose(options | overrides, request.hires_checkpoint)
        request = request.model_copy(update={"hr_checkpoint_name": hires_checkpoint_name(checkpoint.hires_title)})
        request = self._with_refiner(request, checkpoint.title, options)
        if read_options(IntakeOptions, options).use_old_hires_fix_width_height:
            request = with_old_hires_sizes(request)
        request = with_drawn_seeds(request, self.rng)
        plan, unknown = self._with_style_names(request, plan_of(request))
        if self.wildcards is not None:
            dynamic = DynamicPrompts(self.wildcards, self.merge_styles, self._comments_out(options))
            request, plan, undrawn = dynamic.drawn(request, plan, self.rng)
            unknown += undrawn
        requested, (request, samplers, odd) = request, self._applied(request, options)
        self._check(request, samplers, checkpoint.title, options)
        inner = self._inner(requested, request, options, checkpoint.title)
        variants = () if plan is None else self._variants(plan, requested, request, options, checkpoint.title)
        return resolve(
            request,
            options=options | {"sd_model_checkpoint": checkpoint.title},
            rng=self.rng,
            samplers=samplers,
            checkpoint=checkpoint.title,
            vae=checkpoint.vae_name,
            notices=(*notices, *model_notices, *odd, *unknown, *self._networks(request, inner, variants, options)),
            seeds=None if plan is None else seeds_of(plan, fixed_seeds(requested, self.rng)),
            variants=variants,
            inner=inner,
        )

    def _inner(
        self,
        requested: GenerationRequest,
        applies: GenerationRequest,
        options: Mapping[str, Any],
        checkpoint: str,
    ) -> dict[str, tuple[Variant, ...]]:
        """How the passes differ that features run over finished pictures."""
        return {
            title: tuple(self._variant(one, requested, applies, options, checkpoint) for one in plan)
            for title, plan in inner_plans_of(requested, options).items()
        }

    def _with_refiner(
        self, request: GenerationRequest, checkpoint: str, options: Mapping[str, Any]
    ) -> GenerationRequest:
        """With the title of its refiner, which goes on with what `checkpoint`, or that of the hires pass, began."""
        refined = {checkpoint}
        if request.has_hires_pass:
            works = read_options(RefinerOptions, options)
            began = ((checkpoint, False), (request.hires_checkpoint or checkpoint, True))
            refined = {title for title, is_hires in began if works.works_in(hires=is_hires, two_passes=True)}
        title = self.checkpoints.refiner(request.refiner_checkpoint, refined)
        return request.model_copy(update={"refiner_checkpoint": title})

    def _check(
        self, request: GenerationRequest, samplers: Samplers, checkpoint: str, options: Mapping[str, Any]
    ) -> None:
        self.checkpoints.check_passes(request, samplers, checkpoint, options)
        if self.control is not None:
            check_families(request, self.control, self.checkpoints.pass_checkpoints(request, checkpoint))

    def _with_style_names(
        self, request: GenerationRequest, plan: Sequence[Picture] | None
    ) -> tuple[Sequence[Picture] | None, tuple[str, ...]]:
        """The plan with each picture's styles named one by one, and a notice for every style that nobody saved."""
        if not request.styles and not any("styles" in picture.fields for picture in plan or ()):
            return plan, ()
        known = self.style_names()
        names = dict.fromkeys(request.styles)
        pictures = []
        for picture in plan or ():
            if "styles" in picture.fields:
                texts = picture.fields["styles"]
                single = tuple(
                    name for text in texts for name in ((text,) if text in known else split_style_names(text, known))
                )
                names |= dict.fromkeys(single)
                picture = replace(picture, fields={**picture.fields, "styles": single})
            pictures.append(picture)
        notices = (f"There is no style {name[:80]!r}: it was left out." for name in names if name not in known)
        return None if plan is None else pictures, tuple(notices)

    def _applied(
        self, request: GenerationRequest, options: Mapping[str, Any]
    ) -> tuple[GenerationRequest, Samplers, tuple[str, ...]]:
        request = without_idle_scripts(self._final_prompts(request, options))
        if request.scripts:
            check_prompts(request, *_texts_of(request.prompt, request.negative_prompt))
            if request.has_hires_pass:
                hires = request.hr_prompt or request.prompt, request.hr_negative_prompt or request.negative_prompt
                check_prompts(request, *_texts_of(*hires))
        if self.detectors is not None:
            check_detectors(request, self.detectors)
        if self.control is not None:
            request = with_found_models(request, ControlFiles(self.control, self.annotators))
        return resolve_names(request)

    def _variants(
        self,
        plan: Sequence[Picture],
        requested: GenerationRequest,
        applies: GenerationRequest,
        options: Mapping[str, Any],
        checkpoint: str,
    ) -> tuple[Variant, ...]:
        """How each picture of a script differs from what applies to them all; nothing, if none does."""
        if not any(picture.fields or picture.overrides or picture.towards for picture in plan):
            return ()
        return tuple(self._variant(picture, requested, applies, options, checkpoint) for picture in plan)

    def _variant(
        self,
        picture: Picture,
        requested: GenerationRequest,
        applies: GenerationRequest,
        options: Mapping[str, Any],
        checkpoint: str,
    ) -> Variant:
        own = checked_copy(requested, picture.fields)
        changed, samplers, _ = self._applied(own, options)
        if picture.towards is not None:
            prompt, share = picture.towards
            other = self._applied(checked_copy(requested, {**picture.fields, "prompt": prompt}), options)[0]
            changed = changed.model_copy(update={"prompt": blended(changed.prompt, other.prompt, share)})
        settings = self._changed_options(picture, requested, options)
        if not MODELS & set(settings):
            inner = self._inner_of(own, changed, {**options, **settings}, checkpoint, picture)
            if "refiner_checkpoint" in picture.fields:
                changed = self._with_refiner(changed, checkpoint, options)
            self._check(changed, samplers, checkpoint, options)
            return Variant(fields=differences(applies, changed), options=settings, samplers=samplers, inner=inner)
        chosen, _ = self.checkpoints.choose({**options, **settings})
        changed = self._with_refiner(changed, chosen.title, options)
        self._check(changed, samplers, chosen.title, options)
        settings |= {"sd_model_checkpoint": chosen.title}
        inner = self._inner_of(own, changed, {**options, **settings}, chosen.title, picture)
        fields = differences(applies, changed)
        title, vae = chosen.title, chosen.vae_name
        return Variant(fields=fields, options=settings, samplers=samplers, checkpoint=title, vae=vae, inner=inner)

    def _inner_of(
        self,
        requested: GenerationRequest,
        applies: GenerationRequest,
        options: Mapping[str, Any],
        checkpoint: str,
        picture: Picture,
    ) -> dict[str, tuple[Variant, ...]] | None:
        """How the passes of features over one picture of a script differ from it; None where that is as for the job."""
        if not picture.fields and not picture.overrides:
            return None
        had = INNER_PLANS.keys() & {*requested.scripts, *(picture.fields.get("scripts") or ())}
        return self._inner(requested, applies, options, checkpoint) if had or "scripts" in picture.fields else None

    def _changed_options(
        self, picture: Picture, requested: GenerationRequest, options: Mapping[str, Any]
    ) -> dict[str, JsonValue]:
        if not picture.overrides:
            return {}
        try:
            known, _ = self._known(requested.override_settings)
            changed = self.options.snapshot(with_requested_ratio({**known, **picture.overrides}))
        except OptionError as error:
            raise RequestError(str(error)) from error
        possible = {*picture.overrides, IMG2IMG}
        return {key: value for key, value in changed.items() if key in possible and value != option_value(key, options)}

    def _networks(
        self,
        request: GenerationRequest,
        inner: Mapping[str, Sequence[Variant]],
        variants: Sequence[Variant],
        options: Mapping[str, Any],
    ) -> tuple[str, ...]:
        if self.networks is None or request.disable_extra_networks:
            return ()
        # Negative prompts are not searched for tags, as in A1111.
        names = ("prompt", "hr_prompt") if request.enable_hr else ("prompt",)
        # What a picture's prompts are drawn of may name networks that none of them has.
        pictures = [one.fields for one in variants] or [{}]
        prompts = dict.fromkeys(str(fields.get(name, getattr(request, name))) for fields in pictures for name in names)
        own = (str(one.fields["prompt"]) for ones in inner.values() for one in ones if "prompt" in one.fields)
        presets = read_options(NetworkOptions, options).block_presets
        notices = tag_notices((*prompts, *own), self.networks, presets)
        if self.options.switch("lora_not_found_warning_console"):
            for notice in filter(names_missing, notices):
                _log.warning("%s", notice)
        return notices

    def _known(self, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        # Old clients send settings of extensions and of other programs: they get a notice, not a refusal.
        declared = [key for key in overrides if key in self.options.options]
        # What is frozen, or where files go, is for the person at the machine to say, not for a request.
        protected = {key: self.options.protection(key, through_api=True) for key in declared}
        known = {key: overrides[key] for key in declared if not protected[key]}
        foreign = (f"There is no setting {key[:80]!r}: it was ignored." for key in overrides if key not in declared)
        return known, (*foreign, *(f"{why} The job runs without it." for why in protected.values() if why))

    def _comments_out(self, options: Mapping[str, Any]) -> Callable[[str], str]:
        return self.strip_comments if read_options(IntakeOptions, options).enable_prompt_comments else _as_it_is

    def _final_prompts(self, request: GenerationRequest, options: Mapping[str, Any]) -> GenerationRequest:
        reading = read_options(IntakeOptions, options)
        strip = self._comments_out(options)
        prompt, negative = self.merge_styles(request.prompt, request.negative_prompt, request.styles)
        names = (reading.lora, reading.hypernetwork)
        # A job without networks must not have parameters that name some.
        standing = *(("", "") if request.disable_extra_networks else names), reading.network_multiplier
        changed = {
            "prompt": with_standing_networks(strip(prompt), *standing),
            "negative_prompt": strip(negative),
        }
        # An empty hires prompt means the first pass's prompt: a style added to it would make it another one.
        hires = self.merge_styles(request.hr_prompt, request.hr_negative_prompt, request.styles)
        for name, merged in zip(("hr_prompt", "hr_negative_prompt"), hires, strict=True):
            if getattr(request, name):
                changed[name] = strip(merged)
        if "hr_prompt" in changed:
            changed["hr_prompt"] = with_standing_networks(changed["hr_prompt"], *standing)
        return request.model_copy(update=changed)


def _texts_of(prompt: str, negative: str) -> tuple[str, str]:
    """A pass's prompts without tags, which are no text; negative prompts are not searched for them."""
    return extract_networks(prompt)[0], negative


def without_idle_scripts(request: GenerationRequest) -> GenerationRequest:
    """`request` without the scripts that have nothing to act on: they should not stand in the infotext."""
    idle = {script.title for script, _ in scripts_of(request.scripts) if script.needs_mask and request.mask is None}
    active = {title: arguments for title, arguments in request.scripts.items() if title not in idle}
    return request.model_copy(update={"scripts": active}) if idle else request


def resolve_names(request: GenerationRequest) -> tuple[GenerationRequest, Samplers, tuple[str, ...]]:
    """`request` with the labels of the samplers and schedules that run, these themselves, and notices about names that
    are unknown.

    As in A1111, an unknown name is the first sampler, or Automatic; unlike there, a notice says so.
    """
    notices: list[str] = []

    def find(sampler: str, schedule: str) -> SamplerChoice:
        try:
            return find_strictly(sampler, schedule)
        except (UnknownSamplerError, UnknownScheduleError) as error:
            choice = resolve_sampler(sampler, schedule)
            notices.append(f"{error} {choice.sampler.label} with {choice.applied_schedule.label} was used.")
            return choice

    samplers = sampler_choices(request, find)
    return with_labels(request, samplers), samplers, tuple(notices)


def checked_copy(request: GenerationRequest, changes: Mapping[str, Any]) -> GenerationRequest:
    """`request` with `changes`, checked like any. Raises RequestError."""
    return parse_request({**request.model_dump(), **changes}) if changes else request


def differences(request: GenerationRequest, other: GenerationRequest) -> dict[str, Any]:
    """The fields in which `other` differs from `request`, as JSON."""
    names = {name for name in type(other).model_fields if getattr(other, name) != getattr(request, name)}
    return other.model_dump(mode="json", include=names)


def split_style_names(text: str, known: Collection[str]) -> tuple[str, ...]:
    """The names in a text that separates them by commas, where a name that is `known` may hold commas itself."""
    parts = text.split(",")
    names = []
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if ",".join(parts[:end]).strip() in known), 1)
        names.append(",".join(parts[:end]).strip())
        parts = parts[end:]
    return tuple(name for name in names if name)


def with_old_hires_sizes(request: GenerationRequest) -> GenerationRequest:
    """Before 1.0 width and height were the hires pass's, and the first pass had about the area that SD1 knows."""
    given = request.firstpass_image is not None or (request.hr_resize_x and request.hr_resize_y)
    if not request.enable_hr or given:
        return request
    width, height = old_first_pass_size(request.width, request.height)
    final = {"hr_resize_x": request.width, "hr_resize_y": request.height}
    return request.model_copy(update={"width": width, "height": height, **final})


def _as_it_is(prompt: str) -> str:
    return prompt
