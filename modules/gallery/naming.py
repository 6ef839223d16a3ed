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
from modules.gallery.sanitizing import LONGEST_NAME, avoid_device, sanitize

_PIECE: Final = re.compile(r"\[([^\[\]]++)\]")
_ARGUMENTS: Final = re.compile(r"([^<>]*+)((?:<[^<>]*+>)*+)")
_NUMBER: Final = re.compile(r"([0-9]{1,18})(?=[-.]|\Z)")


def apply_pattern(pattern: str, facts: NameFacts) -> str:
    """`pattern` with its tokens replaced; unknown ones stay as they are.

    A token that does not apply ([batch_number] of a single picture) vanishes together with the text before it. What
    tokens bring in is sanitised; the pattern's own text is not.
    """
    return "".join(_pieces(pattern, facts))


def _pieces(pattern: str, facts: NameFacts) -> Iterator[str]:
    position = 0
    for piece in _PIECE.finditer(pattern):
        text = pattern[position : piece.start()]
        position = piece.end()
        value = _value(piece.group(1), facts)
        if value is None:
            yield text + piece.group()
        elif not isinstance(value, Vanish):
            yield text + value
    yield pattern[position:]


def _value(token: str, facts: NameFacts) -> str | Vanish | None:
    parts = _ARGUMENTS.fullmatch(token)
    function = TOKENS.get(parts.group(1).lower()) if parts else None
    if parts is None or function is None:
        return None
    return function(facts, parts.group(2)[1:-1].split("><") if parts.group(2) else [])


def file_stem(pattern: str, facts: NameFacts) -> str:
    """`pattern` as part of a file's name: no separators, nothing that a file system refuses."""
    return sanitize(apply_pattern(pattern, facts), length=LONGEST_NAME)


def subfolder(root: Path, pattern: str, facts: NameFacts) -> Path:
    """The folder below `root` that a directory pattern names. Only here does `/` separate.

    Raises SaveError if the result would not lie below `root`, which no pattern should reach.
    """
    parts = (sanitize(part) for part in re.split(r"[/\\]", apply_pattern(pattern, facts)))
    return below(root, root.joinpath(*(avoid_device(part) for part in parts if part)))


def below(root: Path, path: Path) -> Path:
    """`path`, if it lies in `root` once links and dots are resolved. Raises SaveError."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise SaveError(f"{path} lies outside {root}; take '..' and links out of the name pattern.")
    return path


def largest_number(folder: Path, prefix: str = "") -> int:
    """The largest number that a name in `folder` has right after `prefix`; -1 when there is none.

    Numbers of more than 18 digits are no counters and are passed over.
    """
    largest = -1
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and (match := _NUMBER.match(entry.name, len(prefix))):
                    largest = max(largest, int(match.group(1)))
    except (FileNotFoundError, NotADirectoryError):
        return -1
    return largest
