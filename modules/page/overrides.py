"""Override settings: settings for this request only, as the texts that stand in the page's list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import JsonValue

from modules.parameters import RequestError
from modules.settings import OPTIONS

# Names the form's fields that are settings shown in the tab.
EXTRA_OPTION: Final = "option:"


def option_overrides(values: Mapping[str, Any]) -> dict[str, JsonValue]:
    """The settings among a form's values, by key; see modules/page/extra_options.py."""
    return {name.removeprefix(EXTRA_OPTION): value for name, value in values.items() if name.startswith(EXTRA_OPTION)}


def override_texts(overrides: Mapping[str, JsonValue]) -> list[str]:
    """`Clip skip: 2`: the infotext's word where there is one, else the setting's key."""
    return [f"{OPTIONS[key].infotext or key}: {_shown(value)}" for key, value in overrides.items() if key in OPTIONS]


def overrides_from(texts: Iterable[str]) -> dict[str, JsonValue]:
    """Back to settings by key. Raises RequestError for a text that names none."""
    return dict(_override(text) for text in texts)


def _override(text: str) -> tuple[str, JsonValue]:
    name, _, value = text.partition(": ")
    by_infotext = (key for key, option in OPTIONS.items() if option.infotext == name)
    key = name if name in OPTIONS else next(by_infotext, None)
    if key is None:
        raise RequestError(f"Override settings holds {text[:60]!r}, which names no setting: remove it.")
    if OPTIONS[key].kind in ("text", "choice", "colour"):
        return key, value
    try:
        read: JsonValue = json.loads(value)
    except ValueError:
        read = value
    return key, read


def _shown(value: JsonValue) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)
