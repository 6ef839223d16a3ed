"""ControlNet's units: their arguments, and how requests of programs and the parameters of pictures have them.

Names, aliases, ranges and forms are those of sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from pydantic import JsonValue

from modules.features.controlnet.control_types.declare import CONTROL_TYPES
from modules.features.declaration import (
    Argument,
    OwnForms,
    Script,
    ScriptError,
    Values,
    a_unit_is_enabled,
    checked_arguments,
)

MOST_UNITS: Final = 10
MOST_PICTURES: Final = 32
NO_MODEL: Final = "None"
RESIZE_MODES: Final = ("Just Resize", "Crop and Resize", "Resize and Fill")
CONTROL_MODES: Final = ("Balanced", "My prompt is more important", "ControlNet is more important")
HIRES_OPTIONS: Final = ("Both", "Low res only", "High res only")
IMAGE_WEIGHTS: Final = (
    *("normal", "ease in", "ease out", "ease in-out", "reverse in-out", "weak input", "weak output", "weak middle"),
    *("strong middle", "style transfer", "composition", "strong style transfer", "style and composition"),
)
UNKNOWN_TYPE: Final = "Unknown"
ONE_PICTURE, FROM_FOLDER, SEVERAL = "Single Image", "Batch", "Multi-Inputs"
# As programs say them.
_INPUT_MODES: Final = {"simple": ONE_PICTURE, "batch": FROM_FOLDER, "merge": SEVERAL}
# The numbers of a preprocessor: -1 stands for its default.
_DEFAULT: Final = -1.0

_UNIT: Final = (
    Argument("enabled", "Enable", False, "checkbox"),
    Argument("pixel_perfect", "Pixel Perfect", False, "checkbox"),
    Argument("low_vram", "Low VRAM", False, "checkbox"),
    Argument("input_mode", "Pictures", ONE_PICTURE, "radio", choices=(ONE_PICTURE, FROM_FOLDER, SEVERAL)),
    # The words say how it is painted on, and which argument takes the painting.
    Argument("image", "Image", "", "picture", choices=("mask", "mask")),
    Argument("mask", "Mask", "", "picture", shown=False),
    Argument("more_images", "Further images", [], "pictures", most=MOST_PICTURES - 1),
    Argument("more_masks", "Their masks", [], "pictures", most=MOST_PICTURES - 1, shown=False),
    Argument("batch_images", "Input directory", "", "textbox"),
    Argument("output_dir", "Output directory", "", "textbox"),
    Argument("effective_region_mask", "Effective Region Mask", "", "picture"),
    Argument(
        "control_type", "Control Type", "All", "dropdown", choices=tuple(one.tag for one in CONTROL_TYPES)
    ),
    Argument("module", "Preprocessor", "none", "dropdown", listed="preprocessors"),
    Argument("model", "Model", NO_MODEL, "dropdown", choices=(NO_MODEL,), listed="control_models"),
    Argument("weight", "Control Weight", 1.0, minimum=0, maximum=2, step=0.05),
    Argument("guidance_start", "Starting Control Step", 0.0, minimum=0, maximum=1, step=0.01),
    Argument("guidance_end", "Ending Control Step", 1.0, minimum=0, maximum=1, step=0.01),
    Argument("processor_res", "Resolution", _DEFAULT, minimum=-1, maximum=2048, step=1),
    Argument("threshold_a", "Threshold A", _DEFAULT, minimum=-1, maximum=255, step=0.01),
    Argument("threshold_b", "Threshold B", _DEFAULT, minimum=-1, maximum=255, step=0.01),
    Argument("control_mode", "Control Mode", CONTROL_MODES[0], "radio", choices=CONTROL_MODES),
    Argument("resize_mode", "Resize Mode", RESIZE_MODES[1], "radio", choices=RESIZE_MODES),
    Argument("hr_option", "Hires-Fix Option", HIRES_OPTIONS[0], "radio", choices=HIRES_OPTIONS),
    Argument("inpaint_crop_input_image", "Crop input image based on A1111 mask", True, "checkbox"),
    Argument("weight_type", "Weight Type", IMAGE_WEIGHTS[0], "dropdown", choices=IMAGE_WEIGHTS),
    Argument("composition_weight", "Composition Weight", 1.0, minimum=0, maximum=2, step=0.05),
    Argument("save_detected_map", "Return the detected map", True, "checkbox", shown=False),
    Argument("advanced_weighting", "Advanced weighting", [], "words", shown=False),
    Argument("union_control_type", "Union control type", UNKNOWN_TYPE, "textbox", shown=False),
)  # fmt: skip
_BY_NAME: Final = {argument.name: argument for argument in _UNIT}
# Older names of the same.
_ALIASES: Final = {
    "input_image": "image",
    "mask_image": "mask",
    "lowvram": "low_vram",
    "guidance": "guidance_end",
    "type": "control_type",
}
_OTHER_RESIZE_MODES: Final = {
    "inner fit (scale to fit)": RESIZE_MODES[1],
    "scale to fit (inner fit)": RESIZE_MODES[1],
    "outer fit (shrink to fit)": RESIZE_MODES[2],
    "envelope (outer fit)": RESIZE_MODES[2],
    "resizemode.resize": RESIZE_MODES[0],
    "resizemode.inner_fit": RESIZE_MODES[1],
    "resizemode.outer_fit": RESIZE_MODES[2],
}
_ENUMS: Final = {
    "controlmode.balanced": CONTROL_MODES[0],
    "controlmode.prompt": CONTROL_MODES[1],
    "controlmode.control": CONTROL_MODES[2],
    "hiresfixoption.both": HIRES_OPTIONS[0],
    "hiresfixoption.low_res_only": HIRES_OPTIONS[1],
    "hiresfixoption.high_res_only": HIRES_OPTIONS[2],
}


def read_api_units(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    """The units of a request's `args`: unknown keys are ignored, pictures stay base64. Raises ScriptError."""
    units = [_unit(number, unit) for number, unit in enumerate(given) if isinstance(unit, Mapping)]
    return {"units": units}


def _unit(number: int, given: Mapping[str, JsonValue]) -> JsonValue:
    values = {_ALIASES.get(name, name): value for name, value in given.items() if value is not None}
    if "enabled" not in values and (values.get("model") or values.get("image")):
        # Clients of before 1.1.45 don't say it: a unit that was sent was meant.
        values["enabled"] = True
    if given.get("guess_mode") is True and "control_mode" not in values:
        values["control_mode"] = 2
    if given.get("ipadapter_input"):
        raise ScriptError("ControlNet: ipadapter_input holds pickled tensors, which are not read: send the picture.")
    unit: dict[str, JsonValue] = {name: value for name, value in values.items() if name in _BY_NAME}
    if values.get("enabled") is not False and values.get("loopback") is True:
        raise ScriptError(
            f"ControlNet: unit {number} would take its picture from the run before: send a request for each picture."
        )
    unit |= _pictures(number, values)
    unit["input_mode"] = _input_mode(number, unit, several=bool(unit["more_images"]))
    for name in ("processor_res", "threshold_a", "threshold_b"):
        if isinstance(unit.get(name), int | float):
            unit[name] = _in_range(_BY_NAME[name], unit[name])
    if "resize_mode" in unit:
        unit["resize_mode"] = _resize_mode(unit["resize_mode"])
    for name in ("control_mode", "hr_option"):
        if isinstance(word := unit.get(name), str):
            unit[name] = _ENUMS.get(word.lower(), word)
    if isinstance(weights := unit.get("advanced_weighting"), list):
        unit["advanced_weighting"] = [str(weight) for weight in weights]
    start, end = unit.get("guidance_start", 0.0), unit.get("guidance_end", 1.0)
    if isinstance(start, int | float) and isinstance(end, int | float) and start > end:
        raise ScriptError(f"ControlNet: unit {number} would begin at {start:g} and end before that, at {end:g}.")
    return unit


def _input_mode(number: int, unit: Mapping[str, JsonValue], *, several: bool) -> str:
    """Where the pictures of a program's unit come from. Raises ScriptError for no such way."""
    mode = str(unit.get("input_mode") or "simple").lower().removeprefix("inputmode.")
    if mode not in _INPUT_MODES:
        if unit.get("enabled") is False:
            return ONE_PICTURE
        raise ScriptError(
            f"ControlNet: unit {number} has the input_mode {mode[:40]!r}: it must be one of {', '.join(_INPUT_MODES)}."
        )
    found = _INPUT_MODES[mode]
    return SEVERAL if several and found == ONE_PICTURE else found


def _pictures(number: int, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Pictures as programs send them: base64, or with its mask as a record or a pair, or a list of records."""
    image, mask = given.get("image"), given.get("mask")
    several: list[JsonValue] = [image]
    if isinstance(image, list):
        records = all(isinstance(one, Mapping) for one in image)
        several = image if records else [{"image": image[0], "mask": image[1] if len(image) > 1 else None}]
    if isinstance(gallery := given.get("multi_inputs_gallery"), list) and gallery:
        several = gallery
    pairs = []
    for one in several:
        own = one if isinstance(one, Mapping) else {"image": one, "mask": mask}
        # A record may lack its mask, and pictures of a gallery have none.
        pairs.append((own.get("image") or "", own.get("mask") or (mask if len(several) == 1 else "") or ""))
    if any(not isinstance(one, str) for pair in pairs for one in pair):
        raise ScriptError(f"ControlNet: the picture of unit {number} is no base64 text.")
    (first, own_mask), *more = pairs or [("", "")]
    return {
        "image": first,
        "mask": own_mask,
        "more_images": [picture for picture, _ in more],
        "more_masks": [own for _, own in more],
    }


def _in_range(argument: Argument, value: JsonValue) -> JsonValue:
    """Out of the range means the default, as in the extension."""
    assert isinstance(value, int | float) and argument.minimum is not None and argument.maximum is not None
    if not argument.minimum <= value <= argument.maximum:
        return _DEFAULT
    return round(value) if argument.whole else value


def _resize_mode(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _OTHER_RESIZE_MODES.get(value.lower(), value)
    return RESIZE_MODES[0] if value == len(RESIZE_MODES) else value


# The keys of a unit in infotext, in their order, and which argument each is.
_WRITTEN: Final = {
    "Module": "module",
    "Model": "model",
    "Weight": "weight",
    "Resize Mode": "resize_mode",
    "Processor Res": "processor_res",
    "Threshold A": "threshold_a",
    "Threshold B": "threshold_b",
    "Guidance Start": "guidance_start",
    "Guidance End": "guidance_end",
    "Pixel Perfect": "pixel_perfect",
    "Control Mode": "control_mode",
    "Hr Option": "hr_option",
}
_LEFT_OUT_AT_DEFAULT: Final = ("processor_res", "threshold_a", "threshold_b")
# How people type a checkbox.
_SWITCHES: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_NUMBERED: Final = ("control_mode", "resize_mode")
_KEY = re.compile(r"ControlNet(?: (\d+))?")
# The first form, of before the middle of 2023.
_OLD_KEYS: Final = {"preprocessor": "module", "model": "model", "weight": "weight", "resize mode": "resize_mode"}
_OLD_NUMBERS = re.compile(r"\(\s*([-\d.]+)\s*,\s*([-\d.]+)\s*(?:,\s*([-\d.]+)\s*)?\)")


def written_units(values: Values) -> Iterator[tuple[str, object]]:
    """A key for each unit that is enabled, numbered among these."""
    for number, unit in enumerate(enabled_units(values)):
        pairs = [
            f"{key}: {_written(unit[name])}"
            for key, name in _WRITTEN.items()
            if not (name in _LEFT_OUT_AT_DEFAULT and unit[name] == _DEFAULT)
        ]
        yield f"ControlNet {number}", ", ".join(pairs)


def enabled_units(values: Values) -> list[Mapping[str, JsonValue]]:
    """Those of the checked arguments that do something."""
    units = values.get("units")
    assert isinstance(units, list)
    return [unit for unit in units if isinstance(unit, Mapping) and unit["enabled"]]


def _written(value: JsonValue) -> str:
    return str(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def read_units_of_infotext(values: Mapping[str, str]) -> dict[str, JsonValue] | None:
    """The units of a picture's parameters, each enabled and without a picture; None where there are none."""
    found = {int(match[1] or 0): text for key, text in values.items() if (match := _KEY.fullmatch(key))}
    if not found:
        return None
    units: list[JsonValue] = [_unit_of(text) for _, text in sorted(found.items())]
    checked_arguments(CONTROLNET, {"units": units})
    return {"units": units}


def _unit_of(text: str) -> dict[str, JsonValue]:
    unit: dict[str, JsonValue] = {"enabled": True}
    lower = {key.lower(): name for key, name in _WRITTEN.items()} | _OLD_KEYS
    keys = "|".join(sorted(map(re.escape, [*lower, "starting/ending", "preprocessor params"]), key=len, reverse=True))
    parts = re.split(rf"(?:^|, )({keys}): ", text, flags=re.IGNORECASE)
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        name = lower.get(key.lower())
        numbers = _OLD_NUMBERS.search(value)
        if key.lower() == "starting/ending" and numbers:
            unit |= {"guidance_start": float(numbers[1]), "guidance_end": float(numbers[2])}
        elif key.lower() == "preprocessor params" and numbers:
            unit |= {"processor_res": float(numbers[1]), "threshold_a": float(numbers[2])}
            unit |= {"threshold_b": float(numbers[3])} if numbers[3] else {}
        elif name is not None:
            unit[name] = _value_of(name, value.strip())
    return unit


def _value_of(name: str, text: str) -> JsonValue:
    argument = _BY_NAME[name]
    if argument.look == "checkbox":
        return text.lower() == "true"
    if argument.look == "slider":
        number = float(text[:40])
        return _in_range(argument, number) if name in _LEFT_OUT_AT_DEFAULT else number
    if name == "resize_mode":
        return _OTHER_RESIZE_MODES.get(text.lower(), text)
    return _ENUMS.get(text.lower(), text)


CONTROLNET: Final = Script(
    "ControlNet",
    arguments=(
        Argument("units", "Units", [], "units", most=MOST_UNITS, listed="control_net_unit_count", record=_UNIT),
    ),
    always_on=True,
    file="controlnet.py",
    acts=a_unit_is_enabled,
    own=OwnForms(read_api_units, written_units, read_units_of_infotext, lambda key: _KEY.fullmatch(key) is not None),
)


@dataclass(frozen=True, slots=True)
class UnitArguments:
    """A unit's arguments as typed values, under the names of the API. Pictures are names of inputs, "" for none.

    `processor_res`, `threshold_a` and `threshold_b` are -1 where the preprocessor's default counts.
    """

    enabled: bool
    pixel_perfect: bool
    low_vram: bool
    input_mode: str
    image: str
    mask: str
    more_images: tuple[str, ...]
    more_masks: tuple[str, ...]
    batch_images: str
    output_dir: str
    effective_region_mask: str
    control_type: str
    module: str
    model: str
    weight: float
    guidance_start: float
    guidance_end: float
    processor_res: float
    threshold_a: float
    threshold_b: float
    control_mode: str
    resize_mode: str
    hr_option: str
    inpaint_crop_input_image: bool
    weight_type: str
    composition_weight: float
    save_detected_map: bool
    advanced_weighting: tuple[str, ...]
    union_control_type: str

    @classmethod
    def read(cls, unit: Mapping[str, JsonValue]) -> Self:
        """The arguments of a unit that was checked."""
        given: dict[str, Any] = {}
        for one in fields(cls):
            value = unit[one.name]
            given[one.name] = tuple(map(str, value)) if isinstance(value, list) else value
        return cls(**given)

    @property
    def pictures(self) -> tuple[tuple[str, str], ...]:
        """Each of its pictures with its mask; one without a name where it has none."""
        first = (self.image, self.mask)
        if self.input_mode != SEVERAL:
            return (first,)
        masks = (*self.more_masks, *("",) * len(self.more_images))
        pairs = (first, *zip(self.more_images, masks, strict=False))
        return tuple(pair for pair in pairs if pair[0]) or (first,)

    def apart(self) -> tuple[Self, ...]:
        """A unit for each of its pictures, which share its weight."""
        share = self.weight / len(self.pictures)
        return tuple(
            replace(self, image=image, mask=mask, more_images=(), more_masks=(), weight=share)
            for image, mask in self.pictures
        )

    @property
    def window(self) -> tuple[float, float]:
        """The share of a pass in which the unit acts."""
        return self.guidance_start, self.guidance_end

    @property
    def weights(self) -> tuple[float, ...]:
        """Its own weight for each residual, none where the control mode says them. Raises ScriptError."""
        try:
            return tuple(float(weight) for weight in self.advanced_weighting)
        except ValueError:
            raise ScriptError("ControlNet: advanced_weighting must be a list of numbers.") from None


def units_in(scripts: Mapping[str, Mapping[str, JsonValue]]) -> tuple[UnitArguments, ...]:
    """The units of a request that are enabled."""
    values = scripts.get(CONTROLNET.title)
    return () if values is None else tuple(UnitArguments.read(unit) for unit in enabled_units(values))


def with_picture(unit: Mapping[str, JsonValue], name: str) -> dict[str, JsonValue]:
    """A unit that would take its pictures from a folder, with the picture of that name in their place."""
    own: dict[str, JsonValue] = {"input_mode": ONE_PICTURE, "image": name, "mask": "", "batch_images": ""}
    return {**unit, **own, "output_dir": ""}


def unit_value(name: str, value: object) -> JsonValue:
    """The value of a unit's argument that is meant: "on" of a switch, a choice by its number or by its other names."""
    text = str(value).strip()
    if name == "enabled":
        return _SWITCHES.get(text.lower(), text)
    if name not in _NUMBERED:
        return value if isinstance(value, int | float) else text
    units = read_api_units([{name: int(text) if text.isdecimal() else text}])["units"]
    assert isinstance(units, list) and isinstance(units[0], dict)
    return units[0][name]


def with_unit_value(scripts: Mapping[str, Values], name: str, value: JsonValue) -> dict[str, Values]:
    """Arguments of scripts with that of the first unit changed, which is made where there is none.

    Raises:
        ScriptError: the value is none for the argument.
    """
    given = scripts.get(CONTROLNET.title, {}).get("units")
    units = given if isinstance(given, list) else []
    first = units[0] if units else {}
    assert isinstance(first, Mapping)
    changed = checked_arguments(CONTROLNET, {"units": [{**first, name: value}, *units[1:]]})
    return {**scripts, CONTROLNET.title: changed}
