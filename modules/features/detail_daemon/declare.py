"""The controls of Detail Daemon: six units, and how they look in its API and in pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self, cast

from pydantic import JsonValue

from modules.features.declaration import Argument, OwnForms, Script, ScriptError, Values, a_unit_is_enabled

KEY: Final = "Detail Daemon"
MODES: Final = ("both", "cond", "uncond")
_MOST: Final = 6


def _share(name: str, label: str, default: float) -> Argument:
    return Argument(name, label, default, minimum=0, maximum=1, step=0.01)


def _number(name: str, label: str, default: float, low: float, high: float) -> Argument:
    return Argument(name, label, default, minimum=low, maximum=high, step=0.01)


UNIT: Final = (
    Argument("enabled", "Enable", False, "checkbox"),
    Argument("hires", "Hires. fix pass", False, "checkbox"),
    Argument("mode", "Mode", "both", "radio", choices=MODES),
    _share("start", "Start", 0.2),
    _share("end", "End", 0.8),
    _share("bias", "Bias", 0.5),
    _number("amount", "Detail amount", 0.1, -5, 5),
    _number("exponent", "Exponent", 1, 0, 10),
    _number("start_offset", "Start offset", 0, -1, 1),
    _number("end_offset", "End offset", 0, -1, 1),
    _share("fade", "Fade", 0),
    Argument("smooth", "Smooth", True, "checkbox"),
)
# In pictures a unit's values stand in another order than in the API's `args`.
_WRITTEN: Final = (
    *("enabled", "hires", "mode", "amount", "start", "end", "bias", "exponent"),
    *("start_offset", "end_offset", "fade", "smooth"),
)


def _from_api(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    """Whether it is on, then the values of up to six units one after another."""
    names = [argument.name for argument in UNIT]
    values = list(given[1 : 1 + len(names) * _MOST]) if given and given[0] else []
    parts = [values[start : start + len(names)] for start in range(0, len(values), len(names))]
    units: list[JsonValue] = [
        {name: value for name, value in zip(names, part, strict=False) if value is not None} for part in parts
    ]
    return {"units": units}


def _written(values: Values) -> Iterator[tuple[str, object]]:
    units = values.get("units")
    texts = [
        f"D{number}:{','.join(_word(unit.get(name)) for name in _WRITTEN)}"
        for number, unit in enumerate(units if isinstance(units, list) else (), 1)
        if isinstance(unit, dict) and unit.get("enabled")
    ]
    if texts:
        yield KEY, ";".join(texts)


def _word(value: JsonValue) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _read(infotext: Mapping[str, str]) -> dict[str, JsonValue] | None:
    if KEY not in infotext:
        return None
    found: dict[int, dict[str, JsonValue]] = {}
    for text in filter(None, infotext[KEY].split(";")):
        name, _, values = text.strip().partition(":")
        words = values.split(",")
        if name not in [f"D{number}" for number in range(1, _MOST + 1)] or len(words) != len(_WRITTEN):
            raise ScriptError(f"{KEY}: {text[:60]!r} in the picture's parameters is no unit of it.")
        found[int(name[1:])] = {key: _value(key, word.strip()) for key, word in zip(_WRITTEN, words, strict=True)}
    return {"units": [found.get(number, {}) for number in range(1, max(found, default=0) + 1)]}


def _value(name: str, word: str) -> JsonValue:
    if name == "mode":
        return word
    return word in ("1", "True") if name in ("enabled", "hires", "smooth") else float(word[:40])


DETAIL_DAEMON: Final = Script(
    "Detail Daemon",
    arguments=(Argument("units", "Units", [], "units", maximum=2, most=_MOST, record=UNIT),),
    always_on=True,
    file="detail_daemon.py",
    acts=a_unit_is_enabled,
    own=OwnForms(_from_api, _written, _read, lambda key: key == KEY),
)


@dataclass(frozen=True, slots=True)
class DetailUnit:
    """One unit: how much is shown to be less noise than there is, and when, in shares of the run."""

    enabled: bool
    hires: bool
    mode: str
    start: float
    end: float
    bias: float
    amount: float
    exponent: float
    start_offset: float
    end_offset: float
    fade: float
    smooth: bool

    @classmethod
    def read(cls, unit: Values) -> Self:
        """The arguments of a unit that was checked."""
        return cls(**{one.name: cast(Any, unit[one.name]) for one in fields(cls)})


def detail_units(scripts: Mapping[str, Values]) -> tuple[DetailUnit, ...]:
    """The enabled units of a request's scripts."""
    units = scripts.get(DETAIL_DAEMON.title, {}).get("units")
    read = [DetailUnit.read(unit) for unit in (units if isinstance(units, list) else ()) if isinstance(unit, Mapping)]
    return tuple(unit for unit in read if unit.enabled)
