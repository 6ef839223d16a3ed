"""The controls of Latent Couple, and its line in pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import JsonValue

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, OwnForms, Script, ScriptError, Values

KEY: Final = "Latent Couple"
_LINE: Final = re.compile(
    r"divisions=(?P<divisions>.*?) positions=(?P<positions>.*?) weights=(?P<weights>.*?) end at step=(?P<step>\d+)"
)


def _from_api(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    pairs = zip(LATENT_COUPLE.arguments, given, strict=False)
    return {argument.name: value for argument, value in pairs if value is not None}


def _written(values: Values) -> Iterator[tuple[str, object]]:
    lists = (f"{name}={values[name]}" for name in ("divisions", "positions", "weights"))
    yield KEY, f"{' '.join(lists)} end at step={values['step']}"


def _read(infotext: Mapping[str, str]) -> dict[str, JsonValue] | None:
    text = infotext.get(KEY)
    if text is None:
        return None
    match = _LINE.fullmatch(text.strip())
    if match is None:
        raise ScriptError(f"{KEY}: {text[:60]!r} in the picture's parameters is not its line.")
    return {"enabled": True, **match.groupdict(), "step": int(match["step"][:9])}


LATENT_COUPLE: Final = Script(
    "Latent Couple extension",
    arguments=(
        Argument("enabled", "Enabled", False, "checkbox"),
        Argument("divisions", "Divisions (rows:columns)", "1:1,1:2,1:2", "textbox"),
        Argument("positions", "Positions (row:column, or spans a-b)", "0:0,0:0,0:1", "textbox"),
        Argument("weights", "Weights", "0.2,0.8,0.8", "textbox"),
        Argument("step", "End at this step", 20, minimum=1, maximum=150, step=1, most=10_000),
    ),
    always_on=True,
    file="latent_couple.py",
    own=OwnForms(_from_api, _written, _read, lambda key: key == KEY),
    aliases=("Latent Couple",),
)


@dataclass(frozen=True, slots=True)
class LatentCoupleArguments(ScriptArguments):
    """A grid, a cell of it and a weight for each part of the prompt, and the last step in which they act."""

    script: ClassVar[Script] = LATENT_COUPLE
    divisions: str
    positions: str
    weights: str
    step: int
