"""Values of JSON that somebody else wrote, and infotext made of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final

from modules.parameters.infotext_values import printable, quote
from modules.parameters.samplers import find_sampler, split_schedule
from modules.parameters.schedules import find_schedule

# Only these: names such as "xl_base_1.0" have dots of their own.
_MODEL_SUFFIX: Final = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft)\Z", re.IGNORECASE)


def text(value: object) -> str:
    """`value` if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def number(value: object) -> int | float | None:
    """`value` if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def obj(value: object) -> Mapping[str, object]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def json_object(source: str | None) -> dict[str, object]:
    """The JSON object that `source` is, else an empty one."""
    try:
        value = json.loads(source or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def model_stem(value: object) -> str:
    """The name of a model file without folders and suffix."""
    return _MODEL_SUFFIX.sub("", text(value).replace("\\", "/").rpartition("/")[2])


def sampler_and_schedule(sampler: str, schedule: str = "") -> tuple[str, str]:
    """Our labels for another program's names; a name that we do not know stays as it is."""
    known, ending = find_sampler(sampler), None
    if known is None:
        stem, ending = split_schedule(sampler)
        known = find_sampler(stem)
    chosen = find_schedule(schedule) or (ending if known else None)
    return (known.label if known else sampler), (chosen.label if chosen else schedule)


def compose(prompt: str, negative: str, values: Mapping[str, object]) -> str:
    """Infotext of both prompts and the values that are not empty; "" where the size is all that is known."""
    known = {key: value for key, value in values.items() if value not in (None, "")}
    if not prompt.strip() and not negative.strip() and not known.keys() - {"Size"}:
        return ""
    line = ", ".join(f"{key}: {quote(value)}" for key, value in known.items())
    parts = [prompt.strip(), f"Negative prompt: {negative.strip()}" if negative.strip() else "", line]
    return printable("\n".join(part for part in parts if part))
