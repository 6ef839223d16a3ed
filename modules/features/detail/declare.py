"""The detail pass under the names of ADetailer 25.3.0: its tabs, and how they stand in the API and in infotext."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar, Final

from pydantic import JsonValue

from modules.features.arguments import ScriptArguments
from modules.features.declaration import (
    Argument,
    ArgumentControl,
    OwnForms,
    Script,
    ScriptError,
    Values,
    checked_arguments,
)
from modules.settings.choices import IMG2IMG, SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULE

TITLE: Final = "ADetailer"
VERSION: Final = "25.3.0"
NONE: Final = "None"
PASSTHROUGH: Final = "Passthrough"
SAME_VAE: Final = "Use same VAE"
MERGE: Final = "Merge"
MERGE_INVERT: Final = "Merge and Invert"
BY_AREA: Final = "Area"
MOST_TABS: Final = 15


def _shown(label: str) -> str:
    return label[:1].upper() + label[1:]


def _slider(
    name: str, label: str, default: float, low: float, high: float, step: float = 1, most: float | None = None
) -> Argument:
    return Argument(name, _shown(label), default, minimum=low, maximum=high, step=step, most=most, infotext=label)


def _choice(name: str, label: str, default: str, *choices: str, listed: str | None = None) -> Argument:
    look: ArgumentControl = "dropdown" if listed else "radio"
    return Argument(name, _shown(label), default, look, choices=choices, listed=listed, infotext=label)


def _switch(name: str, label: str, default: bool = False) -> Argument:
    return Argument(name, _shown(label), default, "checkbox", infotext=label)


def _text(name: str, label: str, lines: int = 1) -> Argument:
    return Argument(name, _shown(label), "", "textbox", lines=lines, infotext=label)


# One tab's arguments, in the order in which infotext names them. Labels are those that infotext has after "ADetailer ".
TAB: Final = (
    Argument("ad_tab_enable", "Enable this tab", True, "checkbox"),
    _choice("ad_model", "model", NONE, NONE, listed="detectors"),
    _text("ad_model_classes", "model classes"),
    _text("ad_prompt", "prompt", 3),
    _text("ad_negative_prompt", "negative prompt", 2),
    _slider("ad_confidence", "confidence", 0.3, 0, 1, 0.01),
    _choice("ad_mask_filter_method", "method to decide top k masks", BY_AREA, BY_AREA, "Confidence"),
    _slider("ad_mask_k", "mask only top k", 0, 0, 10, most=1000),
    _slider("ad_mask_min_ratio", "mask min ratio", 0.0, 0, 1, 0.001),
    _slider("ad_mask_max_ratio", "mask max ratio", 1.0, 0, 1, 0.001),
    _slider("ad_x_offset", "x offset", 0, -200, 200),
    _slider("ad_y_offset", "y offset", 0, -200, 200),
    _slider("ad_dilate_erode", "dilate erode", 4, -128, 128, 1),
    _choice("ad_mask_merge_invert", "mask merge invert", NONE, NONE, MERGE, MERGE_INVERT),
    _slider("ad_mask_blur", "mask blur", 4, 0, 64, most=256),
    _slider("ad_denoising_strength", "denoising strength", 0.4, 0, 1, 0.01),
    _switch("ad_inpaint_only_masked", "inpaint only masked", True),
    _slider("ad_inpaint_only_masked_padding", "inpaint padding", 32, 0, 256, 4, most=8192),
    _switch("ad_use_inpaint_width_height", "use inpaint width height"),
    _slider("ad_inpaint_width", "inpaint width", 512, 64, 2048, 4, most=8192),
    _slider("ad_inpaint_height", "inpaint height", 512, 64, 2048, 4, most=8192),
    _switch("ad_use_steps", "use separate steps"),
    _slider("ad_steps", "steps", 28, 1, 150, most=1000),
    _switch("ad_use_cfg_scale", "use separate CFG scale"),
    _slider("ad_cfg_scale", "CFG scale", 7.0, 0, 30, 0.5, most=1000),
    _switch("ad_use_checkpoint", "use separate checkpoint"),
    _choice("ad_checkpoint", "checkpoint", SAME_CHECKPOINT, SAME_CHECKPOINT, listed="checkpoints"),
    _switch("ad_use_vae", "use separate VAE"),
    _choice("ad_vae", "VAE", SAME_VAE, SAME_VAE, listed="vaes"),
    _switch("ad_use_sampler", "use separate sampler"),
    _choice("ad_sampler", "sampler", "DPM++ 2M Karras", SAME_SAMPLER, listed="samplers"),
    _choice("ad_scheduler", "scheduler", SAME_SCHEDULE, SAME_SCHEDULE, listed="schedules"),
    _switch("ad_use_noise_multiplier", "use separate noise multiplier"),
    _slider("ad_noise_multiplier", "noise multiplier", 1.0, 0.5, 1.5, 0.01),
    _switch("ad_use_clip_skip", "use separate CLIP skip"),
    _slider("ad_clip_skip", "CLIP skip", 1, 1, 12),
    _switch("ad_restore_face", "restore face"),
    _choice("ad_controlnet_model", "ControlNet model", NONE, NONE, PASSTHROUGH, listed="control_models"),
    _choice("ad_controlnet_module", "ControlNet module", NONE, NONE, listed="preprocessors"),
    _slider("ad_controlnet_weight", "ControlNet weight", 1.0, 0, 1, 0.01, most=2),
    _slider("ad_controlnet_guidance_start", "ControlNet guidance start", 0.0, 0, 1, 0.01),
    _slider("ad_controlnet_guidance_end", "ControlNet guidance end", 1.0, 0, 1, 0.01),
)
_BY_NAME: Final = {argument.name: argument for argument in TAB}

# What acts only with a switch, and the switch itself, stand in infotext only where that is on.
_SWITCHED: Final = {
    **dict.fromkeys(("ad_inpaint_width", "ad_inpaint_height"), "ad_use_inpaint_width_height"),
    "ad_steps": "ad_use_steps",
    "ad_cfg_scale": "ad_use_cfg_scale",
    "ad_checkpoint": "ad_use_checkpoint",
    "ad_vae": "ad_use_vae",
    **dict.fromkeys(("ad_sampler", "ad_scheduler"), "ad_use_sampler"),
    "ad_noise_multiplier": "ad_use_noise_multiplier",
    "ad_clip_skip": "ad_use_clip_skip",
}
_ALWAYS_WRITTEN: Final = frozenset(
    {
        *("ad_model", "ad_confidence", "ad_dilate_erode", "ad_mask_blur", "ad_denoising_strength"),
        *("ad_inpaint_only_masked", "ad_inpaint_only_masked_padding"),
    }
)
# Names of earlier versions, and whether they count in percent.
_OLD_NAMES: Final = {
    "ad_conf": ("ad_confidence", True),
    "ad_mask_k_largest": ("ad_mask_k", False),
    "ad_dilate/erode": ("ad_dilate_erode", False),
    "ad_inpaint_full_res": ("ad_inpaint_only_masked", False),
    "ad_inpaint_full_res_padding": ("ad_inpaint_only_masked_padding", False),
}
_OLD_KEYS: Final = {
    "conf": ("ad_confidence", True),
    "mask only top k largest": ("ad_mask_k", False),
    "dilate/erode": ("ad_dilate_erode", False),
    "inpaint full": ("ad_inpaint_only_masked", False),
    "inpaint full padding": ("ad_inpaint_only_masked_padding", False),
}
_SKIP_KEY: Final = f"{TITLE} skip img2img"


def ordinal(number: int) -> str:
    """ "1st" for 0, "2nd" for 1 and so on."""
    count = number + 1
    ending = {1: "st", 2: "nd", 3: "rd"}.get(count if count < 20 else count % 10, "th")
    return f"{count}{ending}"


def tabs_in_use(values: Values) -> list[Mapping[str, JsonValue]]:
    """The tabs that are enabled and have a detector."""
    tabs = values.get("tabs")
    found = [tab for tab in tabs if isinstance(tab, Mapping)] if isinstance(tabs, list) else []
    return [tab for tab in found if tab.get("ad_tab_enable", True) and tab.get("ad_model", NONE) not in (NONE, "")]


def _acts(script: Script, values: Values) -> bool:
    return bool(values.get("ad_enable")) and bool(tabs_in_use(values))


def _from_api(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    """`args` are whether it is on, whether img2img is skipped, then tabs; both of the first may be missing."""
    switches = list(takewhile(lambda one: isinstance(one, bool), given[:2]))
    tabs: list[JsonValue] = []
    ignored: dict[str, None] = {}
    for one in given[len(switches) :]:
        if not isinstance(one, Mapping):
            raise ScriptError(
                f"{TITLE}: {repr(one)[:60]} is no tab; args are whether it is on, whether img2img is skipped, and tabs"
                " with their arguments by name."
            )
        tab, foreign = _tab_from_api(one)
        tabs.append(tab)
        ignored |= dict.fromkeys(foreign)
    shown: list[JsonValue] = [name[:60] for name in list(ignored)[:20]]
    return {
        "ad_enable": switches[0] if switches else True,
        "ad_skip_img2img": switches[1] if len(switches) > 1 else False,
        "tabs": tabs,
        "ignored": shown,
    }


def _tab_from_api(given: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], list[str]]:
    """A tab's arguments, and the names that no version known here has."""
    tab: dict[str, JsonValue] = {}
    foreign = []
    for key, value in given.items():
        name, percent = _OLD_NAMES.get(key, (key, False))
        if name not in _BY_NAME:
            foreign.append(key)
        elif value is not None:
            tab[name] = _number_of_text(_BY_NAME[name], value)
            tab[name] = _share(tab[name]) if percent else tab[name]
    return tab, foreign


def _number_of_text(argument: Argument, value: JsonValue) -> JsonValue:
    if argument.look == "slider" and isinstance(value, str):
        try:
            return float(value[:40])
        except ValueError:
            return value
    return value


def _share(value: JsonValue) -> JsonValue:
    """A share that an earlier version gave in percent."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 1:
        return value / 100
    return value


def _written(values: Values) -> Iterator[tuple[str, object]]:
    for number, tab in enumerate(tabs_in_use(values)):
        suffix = "" if number == 0 else f" {ordinal(number)}"
        for argument in TAB:
            if argument.infotext is not None and _is_written(argument, tab):
                yield f"{TITLE} {argument.infotext}{suffix}", tab[argument.name]
    if values.get("ad_skip_img2img"):
        yield _SKIP_KEY, True
    yield f"{TITLE} version", VERSION


def _is_written(argument: Argument, tab: Values) -> bool:
    name = argument.name
    if name in _ALWAYS_WRITTEN:
        return True
    if name in _SWITCHED:
        return bool(tab.get(_SWITCHED[name]))
    if name.startswith("ad_controlnet"):
        return tab.get("ad_controlnet_model") != NONE
    return tab.get(name) != argument.default


def _read(infotext: Mapping[str, str]) -> dict[str, JsonValue] | None:
    tabs: list[JsonValue] = []
    for number in range(MOST_TABS):
        suffix = "" if number == 0 else f" {ordinal(number)}"
        if f"{TITLE} model{suffix}" not in infotext:
            break
        tab: dict[str, JsonValue] = {}
        for label, (name, percent) in _OLD_KEYS.items():
            if (text := infotext.get(f"{TITLE} {label}{suffix}")) is not None:
                value = _read_value(_BY_NAME[name], text)
                tab[name] = _share(value) if percent else value
        for argument in TAB:
            if (text := infotext.get(f"{TITLE} {argument.infotext}{suffix}")) is not None:
                tab[argument.name] = _read_value(argument, text)
        tabs.append(tab)
    if not tabs:
        return None
    return {"ad_enable": True, "ad_skip_img2img": infotext.get(_SKIP_KEY) == "True", "tabs": tabs}


def _read_value(argument: Argument, text: str) -> JsonValue:
    match argument.look:
        case "slider":
            return float(text[:40])
        case "checkbox":
            return text == "True"
    return text


DETAIL: Final = Script(
    TITLE,
    arguments=(
        Argument("ad_enable", "Enable ADetailer", False, "checkbox"),
        Argument("ad_skip_img2img", "Skip img2img", False, "checkbox", tabs=IMG2IMG),
        Argument("tabs", "Tabs", [], "units", most=MOST_TABS, listed="ad_max_models", record=TAB),
        # Names in a program's tabs that mean nothing here: the job says so.
        Argument("ignored", "Ignored arguments", [], "words", shown=False),
    ),
    always_on=True,
    file="adetailer.py",
    acts=_acts,
    own=OwnForms(_from_api, _written, _read, lambda key: key.startswith(f"{TITLE} ")),
)

_TAB_SCRIPT: Final = Script(TITLE, arguments=TAB, always_on=True)


@dataclass(frozen=True, slots=True)
class DetailTab(ScriptArguments):
    """One tab: what is looked for, which masks are made of what is found, and how each is painted over."""

    script: ClassVar[Script] = _TAB_SCRIPT
    ad_model: str
    ad_model_classes: str
    ad_prompt: str
    ad_negative_prompt: str
    ad_confidence: float
    ad_mask_filter_method: str
    ad_mask_k: int
    ad_mask_min_ratio: float
    ad_mask_max_ratio: float
    ad_x_offset: int
    ad_y_offset: int
    ad_dilate_erode: int
    ad_mask_merge_invert: str
    ad_mask_blur: int
    ad_denoising_strength: float
    ad_inpaint_only_masked: bool
    ad_inpaint_only_masked_padding: int
    ad_use_inpaint_width_height: bool
    ad_inpaint_width: int
    ad_inpaint_height: int
    ad_use_steps: bool
    ad_steps: int
    ad_use_cfg_scale: bool
    ad_cfg_scale: float
    ad_use_checkpoint: bool
    ad_checkpoint: str
    ad_use_vae: bool
    ad_vae: str
    ad_use_sampler: bool
    ad_sampler: str
    ad_scheduler: str
    ad_use_noise_multiplier: bool
    ad_noise_multiplier: float
    ad_use_clip_skip: bool
    ad_clip_skip: int
    ad_restore_face: bool
    ad_controlnet_model: str
    ad_controlnet_module: str
    ad_controlnet_weight: float
    ad_controlnet_guidance_start: float
    ad_controlnet_guidance_end: float


def with_tab_value(scripts: Mapping[str, Values], name: str, value: JsonValue) -> dict[str, Values]:
    """Arguments of scripts with one of the first tab's changed, which is made where there is none.

    A switch without which the argument does nothing is turned on; whether the detail pass itself is on stays.

    Raises:
        ScriptError: the value is none for the argument.
    """
    given = scripts.get(TITLE, {})
    tabs = given.get("tabs")
    first, *others = tabs if isinstance(tabs, list) and tabs else [{}]
    assert isinstance(first, Mapping)
    switch = {_SWITCHED[name]: True} if name in _SWITCHED else {}
    if _BY_NAME[name].look == "checkbox" and isinstance(value, str):
        value = value.strip().lower() == "true"
    changed = checked_arguments(DETAIL, {**given, "tabs": [{**first, **switch, name: value}, *others]})
    return {**scripts, TITLE: changed}


@dataclass(frozen=True, slots=True)
class DetailArguments:
    """The tabs that act, in their order, and whether the pictures of img2img go to them as they are."""

    tabs: tuple[DetailTab, ...]
    skip_img2img: bool
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, scripts: Mapping[str, Values]) -> DetailArguments:
        """Those among a request's scripts. Raises ScriptError."""
        values = scripts.get(TITLE, {})
        ignored = values.get("ignored")
        return cls(
            tuple(DetailTab.read(tab) for tab in tabs_in_use(values)),
            bool(values.get("ad_skip_img2img")),
            tuple(map(str, ignored)) if isinstance(ignored, list) else (),
        )
