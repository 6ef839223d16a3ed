"""From infotext, as it lies in pictures and is pasted by people, to keys and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from modules.parameters.infotext_values import Pair, pairs, printable, split_size
from modules.parameters.infotext_versions import (
    append_added_networks,
    append_hypernetwork,
    fill_defaults,
    restore_old_behaviour,
    restore_old_hires,
)

_NEGATIVE: Final = "Negative prompt:"
_FEWEST_PAIRS: Final = 3
_NOTE: Final = "Note"
# A line of its own: `Negative Template: ...`.
_KEY: Final = re.compile(r"\s*([A-Z][\w \-/]{1,60}): ")
_TEXTS: Final = ("Prompt", "Clip skip")


def parse_infotext(text: str, *, backcompat: bool = True) -> dict[str, Any]:
    """Read infotext under A1111's keys: "Prompt", "Negative prompt", "Steps", "Size-1", "Size-2", ...

    Sizes are split in two, quoted values are unquoted, and what a missing key means is filled in ("Clip skip" is "1").
    JSON that stands unquoted (Civitai's) is kept whole. Keys that nobody here knows are kept, and so are old names of
    samplers: they are resolved when fields are filled. With `backcompat`, an old version turns on the behaviour it had.
    What the text says is text; what is filled in is of the type that A1111 gives it (0, 32, False). Text without
    parameters is all prompt. Never raises; linear in the length.
    """
    prompt, negative, found = _split(printable(text))
    values = {"Prompt": prompt, "Negative prompt": negative}
    for pair in found:
        _add(values, pair)
    said = dict(values)
    fill_defaults(values)
    append_hypernetwork(values)
    append_added_networks(values)
    restore_old_hires(values)
    if backcompat:
        restore_old_behaviour(values)
    return {key: value if said.get(key) == value else _filled_in(key, value) for key, value in values.items()}


def said_parameters(text: str) -> tuple[str, str, list[Pair]]:
    """Prompt, negative prompt and the pairs of an infotext in its order, nothing filled in and no size split.

    Never raises; linear in the length.
    """
    return _split(printable(text))


def _filled_in(key: str, value: str) -> str | int | bool:
    """A value that does not stand in the text, as A1111 has it in memory."""
    if value in ("True", "False"):
        return value == "True"
    return int(value) if key not in _TEXTS and value.isdecimal() and value.isascii() else value


def _split(text: str) -> tuple[str, str, list[Pair]]:
    """Prompt, negative prompt, and the pairs of the last line that is one of parameters, and of what follows it."""
    lines = text.strip().split("\n")
    place, found = _parameter_line(lines)
    found += _behind(lines[place + 1 :])
    lines = lines[:place]
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


def _parameter_line(lines: Sequence[str]) -> tuple[int, list[Pair]]:
    """Where the parameters stand, and they: the last line that names steps, else the last of all if it has pairs.

    Extensions append lines such as `Template: ...`, which may look like parameters themselves. Without parameters the
    place is behind the last line.
    """
    last = len(lines) - 1
    places = (place for place in range(last, -1, -1) if place == last or "Steps:" in lines[place])
    unnamed: tuple[int, list[Pair]] | None = None
    for place in places:
        found = list(pairs(lines[place].strip()))
        if len(found) >= _FEWEST_PAIRS:
            if any(pair.key == "Steps" for pair in found):
                return place, found
            unnamed = unnamed or (place, found)
    return unnamed or (len(lines), [])


def _behind(lines: Iterable[str]) -> Iterator[Pair]:
    """`Key: text` of lines behind the parameters, commas included; a line without a key goes on with the one before.

    What stands before the first key is a note.
    """
    key, texts = _NOTE, list[str]()
    for line in lines:
        begun = _KEY.match(line)
        if begun:
            yield from _joined(key, texts)
            key, texts = begun[1], [line[begun.end() :]]
        else:
            texts.append(line)
    yield from _joined(key, texts)


def _joined(key: str, texts: Sequence[str]) -> Iterator[Pair]:
    text = "\n".join(texts).strip()
    if text:
        yield Pair(key, text, quoted=True)


def _add(values: dict[str, str], pair: Pair) -> None:
    if not pair.value and not pair.quoted:
        return
    size = None if pair.quoted else split_size(pair.value)
    if size is None:
        values[pair.key] = pair.value
    else:
        values[f"{pair.key}-1"], values[f"{pair.key}-2"] = size
