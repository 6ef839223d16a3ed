"""From infotext, as it lies in pictures and is pasted by people, to keys and values."""

from __future__ import annotations

from typing import Any, Final

from modules.parameters.infotext_values import Pair, pairs, printable, split_size
from modules.parameters.infotext_versions import (
    append_hypernetwork,
    fill_defaults,
    restore_old_behaviour,
    restore_old_hires,
    split_old_sampler,
)

_NEGATIVE: Final = "Negative prompt:"
_FEWEST_PAIRS: Final = 3
_TEXTS: Final = ("Prompt", "Clip skip")


def parse_infotext(text: str, *, backcompat: bool = True) -> dict[str, Any]:
    """Read infotext under A1111's keys: "Prompt", "Negative prompt", "Steps", "Size-1", "Size-2", ...

    Sizes are split in two, quoted values are unquoted, and what a missing key means is filled in ("Clip skip" is "1").
    JSON that stands unquoted (Civitai's) is kept whole. Keys that nobody here knows are kept. With `backcompat`, an old
    version turns on the behaviour it had. What the text says is text; what is filled in is of the type that A1111 gives
    it (0, 32, False). Text without parameters is all prompt. Never raises; linear in the length.
    """
    prompt, negative, found = _split(printable(text))
    values = {"Prompt": prompt, "Negative prompt": negative}
    for pair in found:
        _add(values, pair)
    said = dict(values)
    fill_defaults(values)
    append_hypernetwork(values)
    restore_old_hires(values)
    split_old_sampler(values)
    if backcompat:
        restore_old_behaviour(values)
    return {key: value if said.get(key) == value else _filled_in(key, value) for key, value in values.items()}


def _filled_in(key: str, value: str) -> str | int | bool:
    """A value that does not stand in the text, as A1111 has it in memory."""
    if value in ("True", "False"):
        return value == "True"
    return int(value) if key not in _TEXTS and value.isdecimal() and value.isascii() else value


def _split(text: str) -> tuple[str, str, list[Pair]]:
    """Prompt, negative prompt, and the pairs of the last line if it is one of parameters."""
    *lines, last = text.strip().split("\n")
    found = list(pairs(last.strip()))
    if len(found) < _FEWEST_PAIRS:
        lines, found = [*lines, last], []
    prompt: list[str] = []
    negative: list[str] = []
    part = prompt
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            part = negative
            line = line.removeprefix(_NEGATIVE).strip()
        if line or part:
            part.append(line)
    return "\n".join(prompt), "\n".join(negative), found


def _add(values: dict[str, str], pair: Pair) -> None:
    if not pair.value and not pair.quoted:
        return
    size = None if pair.quoted else split_size(pair.value)
    if size is None:
        values[pair.key] = pair.value
    else:
        values[f"{pair.key}-1"], values[f"{pair.key}-2"] = size
