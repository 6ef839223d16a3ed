"""Values of JSON that somebody else wrote, and infotext made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from modules.parameters.infotext_values import printable, quote


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


def compose(prompt: str, negative: str, values: Mapping[str, object]) -> str:
    """Infotext of both prompts and the values that are not empty; "" where the size is all that is known."""
    known = {key: value for key, value in values.items() if value not in (None, "")}
    if not prompt.strip() and not negative.strip() and not known.keys() - {"Size"}:
        return ""
    line = ", ".join(f"{key}: {quote(value)}" for key, value in known.items())
    parts = [prompt.strip(), f"Negative prompt: {negative.strip()}" if negative.strip() else "", line]
    return printable("\n".join(part for part in parts if part))
