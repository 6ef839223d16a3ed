"""Forge Couple's lines: from a prompt to the tiles, boxes or masks that its lines guide."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from modules.features.declaration import Values
from modules.features.forge_couple.declare import (
    BASIC,
    FIRST_LINE,
    FORGE_COUPLE,
    HORIZONTAL,
    LAST_LINE,
    MASK,
    NO_BACKGROUND,
    OFF,
    ForgeCoupleArguments,
)
from modules.features.regions.declare import mask_units
from modules.features.regions.plan.areas import WHOLE, Area, Layout, Rectangle, Region, checked_layout, split_length
from modules.parameters import RequestError

_TITLE: Final = FORGE_COUPLE.title


def lines_layout(prompt: str, values: Values) -> Layout | None:
    """The regions of a prompt's lines, None where it has only one. Raises RequestError."""
    arguments = ForgeCoupleArguments.read(values)
    lines = _lines(_with_common(prompt, arguments), arguments.separator)
    if len(lines) < 2:
        return None
    if arguments.mode == BASIC:
        areas = _tiles(len(lines), arguments)
    elif arguments.mode == MASK:
        areas = [Area(WHOLE, unit.weight, unit.painted) for unit in mask_units(values)]
    else:
        areas = _mapped(arguments.mapping)
    if len(areas) != len(lines):
        kind = "masks" if arguments.mode == MASK else "boxes"
        raise RequestError(
            f"{_TITLE}: the prompt has {len(lines)} lines, and there are {len(areas)} {kind}: give each line one."
        )
    regions = tuple(Region(line, (area,)) for line, area in zip(lines, areas, strict=True))
    return checked_layout(Layout(regions, skips_hires=arguments.disable_hr), _TITLE)


def _lines(prompt: str, separator: str) -> list[str]:
    found = separator.replace("\\n", "\n").strip(" ") or "\n"
    return [line.strip() for line in prompt.split(found) if line.strip()]


def _with_common(prompt: str, arguments: ForgeCoupleArguments) -> str:
    """`{name:text}` defines a text, which stands wherever `{name}` does; with the other brackets, by these."""
    if arguments.common_parser == OFF:
        return prompt
    start, end = map(re.escape, arguments.common_parser.split())
    defined = {
        name.strip(): text.strip()
        for name, text in re.findall(rf"{start}\s*([^{start}{end}:]+):([^{start}{end}]*){end}", prompt)
    }

    def text_of(match: re.Match[str]) -> str:
        name, colon, text = str(match[1]).partition(":")
        if colon:
            return text.strip() if arguments.def_in_prompt else ""
        return str(defined.get(name.strip(), match[0]))

    return re.sub(rf"{start}([^{start}{end}]*){end}", text_of, prompt)


def _tiles(count: int, arguments: ForgeCoupleArguments) -> list[Area]:
    """Equal parts side by side or below each other, and the whole picture for the background's line."""
    has_background = arguments.background != NO_BACKGROUND
    parts = split_length([1.0] * (count - has_background))
    across = arguments.direction == HORIZONTAL
    tiles = [Area(Rectangle(low, high, 0.0, 1.0) if across else Rectangle(0.0, 1.0, low, high)) for low, high in parts]
    back = Area(WHOLE, arguments.background_weight)
    if arguments.background == FIRST_LINE:
        return [back, *tiles]
    return [*tiles, back] if arguments.background == LAST_LINE else tiles


def _mapped(text: str) -> list[Area]:
    try:
        rows = json.loads(text or "[]")
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise RequestError(
            f"{_TITLE}: the boxes {text[:60]!r} can't be read: they are a list of [x1, x2, y1, y2, weight]."
        )
    return [_mapped_area(number, row) for number, row in enumerate(rows)]


def _mapped_area(number: int, row: JsonValue) -> Area:
    numbers = _numbers(row if isinstance(row, list) else [])
    if len(numbers) == 4:
        numbers.append(1.0)
    if len(numbers) != 5 or not all(0 <= edge <= 1 for edge in numbers[:4]) or numbers[4] < 0:
        raise RequestError(
            f"{_TITLE}: box {number} is {repr(row)[:60]}: it must be [x1, x2, y1, y2, weight], edges from 0 to 1."
        )
    left, right, top, bottom, weight = numbers
    if left >= right or top >= bottom:
        raise RequestError(f"{_TITLE}: box {number} is empty: x1 must be below x2, and y1 below y2.")
    return Area(Rectangle(left, right, top, bottom), weight)


def _numbers(row: Sequence[JsonValue]) -> list[float]:
    try:
        found = [float(value) for value in row if isinstance(value, int | float | str)]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) and len(found) == len(row) else []
