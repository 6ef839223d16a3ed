"""The axes of X/Y/Z plot: A1111's names in its order, and what a value on each of them changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from modules.features.controlnet.declare import unit_value, with_unit_value
from modules.features.declaration import Argument, Script, ScriptError
from modules.features.detail.declare import DETAIL, with_tab_value
from modules.features.table import IN_GUIDANCE, SCRIPTS
from modules.parameters.request import GenerationRequest, RequestError
from modules.parameters.samplers import find_sampler, resolve_sampler
from modules.parameters.schedules import resolve_schedule
from modules.settings.choices import BOTH, IMG2IMG, TXT2IMG

ValueKind = Literal["whole", "number", "text"]
NOTHING: Final = "Nothing"
SEEDS: Final = ("Seed", "Var. seed")
SEARCH: Final = "Prompt S/R"
# In the prompts of the detail pass's first tab, alone or with the request's own.
DETAIL_SEARCHES: Final = ("[ADetailer] Prompt S/R (AD 1st)", "[ADetailer] Prompt S/R (AD 1st and main prompt)")
_TAB_PROMPTS: Final = ("ad_prompt", "ad_negative_prompt")


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis. `field` is of the request, `options` are settings that take the value.

    `unit` is an argument of ControlNet's first unit, `tab` one of the detail pass's first tab, and `argument` one of a
    feature's, behind its title: the feature is on in each picture, and where it has units the first one.

    An axis without either has a rule of its own in `changes`, or is not possible here. `plain` values stand in the
    legend without the axis's name.
    """

    label: str
    kind: ValueKind = "text"
    field: str | None = None
    options: tuple[str, ...] = ()
    tabs: frozenset[str] = BOTH
    plain: bool = False
    unit: str | None = None
    argument: tuple[str, str] | None = None
    tab: str | None = None

    @property
    def listed(self) -> bool:
        """Whether its values are chosen from a list of this machine, unless they are typed."""
        return self.label in _LISTED or (self.argument is not None and argument_of(*self.argument).look in _CHOSEN)


_CHOSEN: Final = ("checkbox", "radio", "dropdown")


def _axes_of(script: Script) -> Iterator[Axis]:
    for argument in _arguments_of(script):
        kind: ValueKind = "text"
        if argument.look == "slider":
            kind = "whole" if argument.whole else "number"
        yield Axis(f"[{script.title}] {argument.label}", kind, tabs=script.tabs, argument=(script.title, argument.name))


def _arguments_of(script: Script) -> Sequence[Argument]:
    """A feature's arguments, or those of each of its units."""
    return script.arguments[0].record or script.valued


def argument_of(title: str, name: str) -> Argument:
    """The argument of that name of the feature of that title, or of its units."""
    script = next(script for script in SCRIPTS if script.title == title)
    return next(argument for argument in _arguments_of(script) if argument.name == name)


AXES: Final = (
    Axis(NOTHING),
    Axis("Seed", "whole", "seed"),
    Axis("Var. seed", "whole", "subseed"),
    Axis("Var. strength", "number", "subseed_strength"),
    Axis("Steps", "whole", "steps"),
    Axis("Hires steps", "whole", "hr_second_pass_steps", tabs=TXT2IMG),
    Axis("CFG Scale", "number", "cfg_scale"),
    Axis("Distilled CFG Scale", "number", "distilled_cfg_scale"),
    Axis("Shift", "number", "distilled_cfg_scale"),
    Axis("Image CFG Scale", "number", "image_cfg_scale", tabs=IMG2IMG),
    Axis(SEARCH, plain=True),
    Axis("Prompt order", plain=True),
    Axis("Sampler", "text", "sampler_name", plain=True),
    Axis("Hires sampler", "text", "hr_sampler_name", tabs=TXT2IMG),
    Axis("Checkpoint name", options=("sd_model_checkpoint",), plain=True),
    Axis("Negative Guidance minimum sigma", "number", options=("s_min_uncond",)),
    Axis("Sigma Churn", "number", options=("s_churn",)),
    Axis("Sigma min", "number", options=("s_tmin",)),
    Axis("Sigma max", "number", options=("s_tmax",)),
    Axis("Sigma noise", "number", options=("s_noise",)),
    Axis("Schedule type", "text", "scheduler"),
    Axis("Schedule min sigma", "number", options=("sigma_min",)),
    Axis("Schedule max sigma", "number", options=("sigma_max",)),
    Axis("Schedule rho", "number", options=("rho",)),
    Axis("Beta schedule alpha", "number", options=("beta_dist_alpha",)),
    Axis("Beta schedule beta", "number", options=("beta_dist_beta",)),
    Axis("Eta", "number", options=("eta_ancestral", "eta_ddim", "eta_tcd")),
    Axis("Clip skip", "whole", options=("CLIP_stop_at_last_layers",)),
    Axis("Denoising", "number", "denoising_strength"),
    Axis("Initial noise multiplier", "number", options=("initial_noise_multiplier",)),
    Axis("Extra noise", "number", options=("img2img_extra_noise",)),
    Axis("Hires upscaler", "text", "hr_upscaler", tabs=TXT2IMG),
    Axis("Cond. Image Mask Weight", "number", options=("inpainting_mask_weight",), tabs=IMG2IMG),
    Axis("VAE", options=("sd_vae",)),
    Axis("Styles"),
    Axis("UniPC Order", "whole", options=("uni_pc_order",)),
    Axis("Face restore"),
    Axis("Token merging ratio", "number", options=("token_merging_ratio",)),
    Axis("Token merging ratio high-res", "number", options=("token_merging_ratio_hr",)),
    Axis("Always discard next-to-last sigma", options=("always_discard_next_to_last_sigma",)),
    Axis("SGM noise multiplier", options=("sgm_noise_multiplier",)),
    Axis("Refiner checkpoint", "text", "refiner_checkpoint"),
    Axis("Refiner switch at", "number", "refiner_switch_at"),
    Axis("RNG source", options=("randn_source",)),
    Axis("FP8 mode"),
    Axis("Size"),
    Axis("[ControlNet] Enabled", unit="enabled"),
    Axis("[ControlNet] Model", unit="model"),
    Axis("[ControlNet] Weight", "number", unit="weight"),
    Axis("[ControlNet] Guidance Start", "number", unit="guidance_start"),
    Axis("[ControlNet] Guidance End", "number", unit="guidance_end"),
    Axis("[ControlNet] Control Mode", unit="control_mode"),
    Axis("[ControlNet] Resize Mode", unit="resize_mode"),
    Axis("[ControlNet] Preprocessor", unit="module"),
    Axis("[ControlNet] Pre Resolution", "whole", unit="processor_res"),
    Axis("[ControlNet] Pre Threshold A", "number", unit="threshold_a"),
    Axis("[ControlNet] Pre Threshold B", "number", unit="threshold_b"),
    Axis("[ADetailer] ADetailer model 1st", tab="ad_model"),
    Axis("[ADetailer] ADetailer prompt 1st", tab="ad_prompt"),
    Axis("[ADetailer] ADetailer negative prompt 1st", tab="ad_negative_prompt"),
    *(Axis(label, plain=True) for label in DETAIL_SEARCHES),
    Axis("[ADetailer] Mask erosion / dilation 1st", "whole", tab="ad_dilate_erode"),
    Axis("[ADetailer] Inpaint denoising strength 1st", "number", tab="ad_denoising_strength"),
    Axis("[ADetailer] CFG scale 1st", "number", tab="ad_cfg_scale"),
    Axis("[ADetailer] Inpaint only masked 1st", tab="ad_inpaint_only_masked"),
    Axis("[ADetailer] Inpaint only masked padding 1st", "whole", tab="ad_inpaint_only_masked_padding"),
    Axis("[ADetailer] ADetailer sampler 1st", tab="ad_sampler"),
    Axis("[ADetailer] ADetailer scheduler 1st", tab="ad_scheduler"),
    Axis("[ADetailer] noise multiplier 1st", "number", tab="ad_noise_multiplier"),
    Axis("[ADetailer] ControlNet model 1st", tab="ad_controlnet_model"),
    *(axis for script in IN_GUIDANCE for axis in _axes_of(script)),
)
_WITH_RULES: Final = (NOTHING, SEARCH, *DETAIL_SEARCHES, "Prompt order", "Styles", "Size")
_LISTED: Final = frozenset(
    {
        *("Sampler", "Hires sampler", "Checkpoint name", "Schedule type", "Hires upscaler", "VAE", "Styles"),
        "Refiner checkpoint",
        *("Always discard next-to-last sigma", "SGM noise multiplier", "RNG source"),
        *("[ControlNet] Enabled", "[ControlNet] Model", "[ControlNet] Preprocessor"),
        *("[ControlNet] Control Mode", "[ControlNet] Resize Mode"),
        *("[ADetailer] ADetailer model 1st", "[ADetailer] Inpaint only masked 1st"),
        *("[ADetailer] ADetailer sampler 1st", "[ADetailer] ADetailer scheduler 1st"),
        "[ADetailer] ControlNet model 1st",
    }
)
_SWITCHES: Final = ("Always discard next-to-last sigma", "SGM noise multiplier")


def axis_labels(mode: str, *, possible: bool = True) -> list[str]:
    """The axes of a tab in A1111's order; all that it has, or those that are possible here."""
    return [axis.label for axis in AXES if mode in axis.tabs and (is_possible(axis) or not possible)]


def is_possible(axis: Axis) -> bool:
    """Whether something here stands behind the axis."""
    return bool(axis.field or axis.options or axis.unit or axis.tab or axis.argument) or axis.label in _WITH_RULES


def find_axis(label: str, mode: str) -> Axis:
    """The axis of this name. Raises RequestError."""
    axis = next((one for one in AXES if one.label.casefold() == label.casefold() and mode in one.tabs), None)
    if axis is None:
        raise RequestError(f"X/Y/Z plot: there is no axis {label[:60]!r} on the {mode} tab.")
    if not is_possible(axis):
        raise RequestError(f"X/Y/Z plot: {axis.label} is not possible here: choose another axis.")
    return axis


def checked_values(axis: Axis, values: Sequence[Any]) -> list[Any]:
    """Values in the words of the tables: samplers and schedules are looked up. Raises RequestError."""
    try:
        if axis.label in ("Sampler", "Hires sampler"):
            return [_sampler_label(value) for value in values]
        if axis.label == "Schedule type":
            return [resolve_schedule(value, strict=True).label for value in values]
    except ValueError as error:
        raise RequestError(f"X/Y/Z plot: {error}") from error
    if axis.label == "Size":
        for value in values:
            _sides(value)
    return list(values)


def _unit_changed(name: str, value: object, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of scripts with one of ControlNet's first unit changed."""
    try:
        return {"scripts": with_unit_value(fields["scripts"], name, unit_value(name, value))}
    except ScriptError as error:
        raise RequestError(f"X/Y/Z plot: {error}") from error


def _tab_changed(name: str, value: object, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of scripts with one of the detail pass's first tab changed."""
    try:
        plain = value if isinstance(value, str | int | float) else str(value)
        return {"scripts": with_tab_value(fields["scripts"], name, plain)}
    except ScriptError as error:
        raise RequestError(f"X/Y/Z plot: {error}") from error


def _sampler_label(value: str) -> str:
    """The sampler's label, with the schedule's behind it where the name has one ("k_dpmpp_2m_ka")."""
    choice = resolve_sampler(value, strict=True)
    return choice.sampler.label if find_sampler(value) else f"{choice.sampler.label} {choice.applied_schedule.label}"


def changes(axis: Axis, value: object, values: Sequence[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that `value` changes, given what the axes before have made of them."""
    if axis.unit is not None:
        return _unit_changed(axis.unit, value, fields)
    if axis.tab is not None:
        return _tab_changed(axis.tab, value, fields)
    if axis.label == SEARCH:
        return _replaced(str(values[0]), str(value), fields)
    if axis.label in DETAIL_SEARCHES:
        main = _replaced(str(values[0]), str(value), fields) if axis.label == DETAIL_SEARCHES[1] else {}
        return main | _replaced_in_tab(str(values[0]), str(value), fields)
    match axis.label:
        case "Prompt order" if isinstance(value, tuple):
            return {"prompt": reordered(str(fields["prompt"]), value)}
        case "Styles":
            # Several names with commas stay one text here: only who knows the styles can say what it names.
            return {"styles": (*fields["styles"], *([text] if (text := str(value).strip()) else []))}
        case "Size":
            width, height = _sides(value)
            return {"width": width, "height": height}
    if axis.argument is not None:
        return {"scripts": _with_argument(fields["scripts"], *axis.argument, value)}
    return {axis.field: value} if axis.field else {}


def _with_argument(scripts: Mapping[str, Mapping[str, Any]], title: str, name: str, value: object) -> dict[str, Any]:
    """`scripts` with that feature on, or its first unit, and this argument of it."""
    script = next(script for script in SCRIPTS if script.title == title)
    first, given = script.arguments[0], scripts.get(title, {})
    if argument_of(title, name).look == "checkbox":
        value = _is_on(value)
    if first.look != "units":
        return {**scripts, title: {**given, first.name: True, name: value}}
    unit, *others = given.get(first.name) or [{}]
    changed = {**unit, first.record[0].name: True, name: value}
    return {**scripts, title: {**given, first.name: [changed, *others]}}


def _is_on(value: object) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes", "on")


def overrides(axis: Axis, value: object) -> dict[str, Any]:
    """The settings that `value` changes."""
    if axis.label in _SWITCHES:
        return dict.fromkeys(axis.options, _is_on(value))
    return dict.fromkeys(axis.options, value)


def _replaced(wanted: str, by: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(fields[name]).replace(wanted, by) for name in ("prompt", "negative_prompt")}


def _replaced_in_tab(wanted: str, by: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of scripts with a text replaced in the prompts of the detail pass's first tab."""
    for name in _TAB_PROMPTS:
        if wanted in (text := _tab_text(fields["scripts"], name)):
            fields = {**fields, **_tab_changed(name, text.replace(wanted, by), fields)}
    return {"scripts": fields["scripts"]}


def _tab_text(scripts: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """A prompt of the detail pass's first tab, empty where there is none."""
    tabs = scripts.get(DETAIL.title, {}).get("tabs") or [{}]
    return str(tabs[0].get(name, ""))


def check_search(axis: Axis, wanted: str, request: GenerationRequest) -> None:
    """Raises RequestError where an axis of Prompt S/R would find nothing to replace."""
    main = wanted in request.prompt or wanted in request.negative_prompt
    tab = any(wanted in _tab_text(request.scripts, name) for name in _TAB_PROMPTS)
    if axis.label == SEARCH and not main:
        raise RequestError(f"Prompt S/R did not find {wanted[:60]} in prompt or negative prompt.")
    if axis.label == DETAIL_SEARCHES[0] and not tab:
        raise RequestError(f"Prompt S/R did not find {wanted[:60]} in the prompts of ADetailer's first tab.")
    if axis.label == DETAIL_SEARCHES[1] and not (main or tab):
        raise RequestError(
            f"Prompt S/R did not find {wanted[:60]} in prompt, negative prompt or the prompts of ADetailer's first tab."
        )


def reordered(prompt: str, tokens: Sequence[str]) -> str:
    """`prompt` with these tokens in this order in the places that they have in it."""
    places = sorted((place, token) for token in tokens if (place := prompt.find(token)) >= 0)
    parts, end = [], 0
    for (place, token), instead in zip(places, tokens, strict=False):
        parts += [prompt[end:place], instead]
        end = place + len(token)
    return "".join([*parts, prompt[end:]])


def _sides(value: object) -> tuple[int, int]:
    width, cross, height = str(value).lower().partition("x")
    if not (cross and width.strip().isdecimal() and height.strip().isdecimal()):
        raise RequestError(f"X/Y/Z plot: the size {str(value)[:40]!r} is not of the form 512x768.")
    return int(width), int(height)
