"""The controls of Forge Couple, and how they stand in its API and in pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import JsonValue

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, OwnForms, Script, Values
from modules.features.regions.declare import MASK_PICTURES, MASK_WEIGHT, MOST_MASKS

BASIC: Final = "Basic"
ADVANCED: Final = "Advanced"
MASK: Final = "Mask"
NO_BACKGROUND: Final = "None"
FIRST_LINE: Final = "First Line"
LAST_LINE: Final = "Last Line"
HORIZONTAL: Final = "Horizontal"
OFF: Final = "off"
_KEY: Final = "forge_couple"
_API: Final = (
    *("enabled", "disable_hr", "mode", "separator", "direction", "background", "background_weight"),
    *("mapping", "common_parser", "common_debug", "def_in_prompt"),
)
# What stands in pictures in each mode, beside the mode itself.
_BASIC_KEYS: Final = ("direction", "background", "background_weight")
_EVERY_KEY: Final = ("separator", "common_parser")


def _from_api(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    """`mapping` is a list of [x1, x2, y1, y2, weight], or one of {"mask": base64, "weight"}."""
    values: dict[str, JsonValue] = {name: value for name, value in zip(_API, given, strict=False) if value is not None}
    mapping = values.get("mapping")
    if isinstance(mapping, list):
        if any(isinstance(row, Mapping) for row in mapping):
            del values["mapping"]
            values["masks"] = [_mask_unit(row) for row in mapping]
        else:
            values["mapping"] = json.dumps(mapping)
    return values


def _mask_unit(row: JsonValue) -> JsonValue:
    if not isinstance(row, Mapping):
        return row
    return {name: row[key] for key, name in (("mask", "mask"), ("weight", "weight")) if row.get(key) is not None}


def _written(values: Values) -> Iterator[tuple[str, object]]:
    yield _KEY, True
    mode = values["mode"]
    yield f"{_KEY}_mode", mode
    own = {BASIC: _BASIC_KEYS, ADVANCED: ("mapping",)}.get(str(mode), ())
    for name in (*own, *_EVERY_KEY):
        # A line break would end the line of parameters.
        value = values[name]
        yield f"{_KEY}_{name}", value.replace("\n", "\\n") if isinstance(value, str) else value


def _read(infotext: Mapping[str, str]) -> dict[str, JsonValue] | None:
    if infotext.get(_KEY) != "True":
        return None
    found: dict[str, JsonValue] = {"enabled": True}
    for name in ("mode", *_BASIC_KEYS, "mapping", *_EVERY_KEY):
        text = infotext.get(f"{_KEY}_{name}")
        if text is not None:
            found[name] = float(text[:40]) if name == "background_weight" else text
    return found


FORGE_COUPLE: Final = Script(
    "Forge Couple",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox"),
        Argument("disable_hr", "Not in the hires pass", False, "checkbox"),
        Argument("mode", "Region assignment", BASIC, "radio", choices=(BASIC, ADVANCED, MASK)),
        Argument("separator", "Separator (empty: a new line)", "", "textbox"),
        Argument("direction", "Tile direction", HORIZONTAL, "radio", choices=(HORIZONTAL, "Vertical")),
        Argument(
            "background",
            "Global effect",
            NO_BACKGROUND,
            "radio",
            choices=(NO_BACKGROUND, FIRST_LINE, LAST_LINE),
        ),
        Argument("background_weight", "Global effect weight", 0.5, minimum=0, maximum=1, step=0.05, most=5),
        Argument("mapping", "Boxes: x1, x2, y1, y2, weight", "[[0,0.5,0,1,1],[0.5,1,0,1,1]]", "boxes"),
        Argument("masks", "Masks", [], "units", maximum=3, most=MOST_MASKS, record=(*MASK_PICTURES, MASK_WEIGHT)),
        Argument("common_parser", "Common prompts", OFF, "radio", choices=(OFF, "{ }", "< >")),
        Argument("common_debug", "Debug", False, "checkbox", shown=False),
        Argument("def_in_prompt", "Definitions of common prompts are text too", True, "checkbox"),
    ),
    always_on=True,
    file="forge_couple.py",
    own=OwnForms(_from_api, _written, _read, lambda key: key == _KEY or key.startswith(f"{_KEY}_")),
    aliases=("ForgeCouple", "SD Forge Couple"),
)


@dataclass(frozen=True, slots=True)
class ForgeCoupleArguments(ScriptArguments):
    """How the prompt's lines are parted, and which part of the picture each of them guides."""

    script: ClassVar[Script] = FORGE_COUPLE
    disable_hr: bool
    mode: str
    separator: str
    direction: str
    background: str
    background_weight: float
    mapping: str
    common_parser: str
    def_in_prompt: bool
