"""File and folder names from patterns such as `[seed]-[prompt_spaces]`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modules.files import SaveError
from modules.gallery.name_facts import NameFacts
from modules.gallery.name_tokens import TOKENS, Vanish
from modules.gallery.sanitizing import LONGEST_NAME, avoid_device
from modules.gallery.stems import Cut, Piece, Stem, split_at_separators

_PIECE: Final = re.compile(r"\[([^\[\]]++)\]")
_ARGUMENTS: Final = re.compile(r"([^<>]*+)((?:<[^<>]*+>)*+)")
_NUMBER: Final = re.compile(r"([0-9]{1,7})(?=[-.]|\Z)")
_DATE: Final = re.compile(r"(?:[0-9]{2}){1,2}([-.])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])(?![0-9])")
_SHORT_DATE: Final = re.compile(r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_NEAR: Final = 100
# Tokens whose text may be shortened; files differ by all the others.
_CUTS: Final = {
    **dict.fromkeys(("prompt", "prompt_no_styles", "prompt_spaces", "prompt_words", "styles", "hasprompt"), Cut.PROSE),
    **dict.fromkeys(("model_name", "vae_filename", "basename", "user"), Cut.NAME),
}


def apply_pattern(pattern: str, facts: NameFacts) -> str:
    """`pattern` with its tokens replaced; unknown ones stay as they are.

    A token that does not apply ([batch_number] of a single picture) vanishes together with the text before it. What
    tokens bring in is sanitised; the pattern's own text is not.
    """
    return "".join(piece.text for piece in _pieces(pattern, facts))


def _pieces(pattern: str, facts: NameFacts) -> Iterator[Piece]:
    position = 0
    for found in _PIECE.finditer(pattern):
        text = pattern[position : found.start()]
        position = found.end()
        name, value = _value(found.group(1), facts)
        if value is None:
            yield Piece(text + found.group(), Cut.PATTERN)
        elif not isinstance(value, Vanish):
            yield Piece(text, Cut.PATTERN)
            yield Piece(value, _CUTS.get(name, Cut.NEVER))
    yield Piece(pattern[position:], Cut.PATTERN)


def _value(token: str, facts: NameFacts) -> tuple[str, str | Vanish | None]:
    """The token's name, and what it stands for; None for a token that there is not."""
    parts = _ARGUMENTS.fullmatch(token)
    name = parts.group(1).lower() if parts else ""
    function = TOKENS.get(name)
    if parts is None or function is None:
        return name, None
    return name, function(facts, parts.group(2)[1:-1].split("><") if parts.group(2) else [])


def file_stem(pattern: str, facts: NameFacts) -> Stem:
    """`pattern` as part of a file's name: no separators, nothing that a file system refuses."""
    return Stem(tuple(_pieces(pattern, facts)))


def subfolder(root: Path, pattern: str, facts: NameFacts) -> Path:
    """The folder below `root` that a directory pattern names. Only here does `/` separate.

    Raises SaveError if the result would not lie below `root`, which no pattern should reach.
    """
    longest = longest_name(root)
    parts = (part.fitted(longest) for part in split_at_separators(_pieces(pattern, facts)))
    return below(root, root.joinpath(*(avoid_device(part) for part in parts if part)))


def longest_name(folder: Path) -> int:
    """Bytes that a name in `folder` may have; encrypted folders allow fewer than 255."""
    existing = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if existing is None or not hasattr(os, "pathconf"):
        return LONGEST_NAME
    try:
        return min(LONGEST_NAME, max(64, os.pathconf(existing, "PC_NAME_MAX")))
    except (OSError, ValueError):
        return LONGEST_NAME


def below(root: Path, path: Path) -> Path:
    """`path`, if it lies in `root` once links and dots are resolved. Raises SaveError."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise SaveError(f"{path} lies outside {root}; take '..' and links out of the name pattern.")
    return path


def largest_number(folder: Path, prefix: str = "") -> int:
    """The largest counter that a name in `folder` has right after `prefix`; -1 when there is none.

    Numbers of more than 7 digits (20260501, a time in seconds) and dates are no counters. A number of 6 digits that
    reads as a date counts only where another counter is less than 100 below it.
    """
    counters, dates = set[int](), set[int]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                match = _NUMBER.match(entry.name, len(prefix)) if entry.name.startswith(prefix) else None
                if match and not _DATE.match(entry.name, len(prefix)):
                    short = _SHORT_DATE.fullmatch(match.group(1))
                    (dates if short else counters).add(int(match.group(1)))
    except (FileNotFoundError, NotADirectoryError):
        return -1
    for date in sorted(dates):
        if not counters.isdisjoint(range(date - _NEAR, date)):
            counters.add(date)
    return max(counters, default=-1)
