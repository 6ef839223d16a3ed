"""Wildcards in files: lists of texts in .txt files, one a line, and trees of lists in .yaml and .json files."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

from modules.files import comparable, decoded, walk_folders
from modules.files.walk import FileState, FoundFile
from modules.prompt.dynamic.syntax import Template, parse, weighed

SUFFIXES: Final = (".txt", ".yaml", ".yml", ".json")
# Of one file, in bytes, and how deep a tree of lists goes.
_LARGEST: Final = 200 * 2**20
_DEEPEST: Final = 40
# Of a tree, whose lists may be there many times by reference.
_MOST_ENTRIES: Final = 2_000_000
_COMMENT: Final = re.compile(r"(?:^|\s)#(?![0-9a-fA-F]{3,8}\b).*")
_parsed = lru_cache(maxsize=4096)(parse)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lines:
    """The alternatives of a wildcard, read as templates when they are chosen. `weights` is None where all weigh 1."""

    texts: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def template(self, index: int) -> Template:
        """The alternative of that number."""
        return _parsed(self.texts[index])


class WildcardFiles:
    """The wildcards below some folders, which need not exist. A file is read anew when it has changed. Safe to use from
    several threads.

    A .txt file is named by its path without the suffix, "animals/pets"; the lists of a .yaml or .json file by the keys
    that lead to them. Names know no case; in them `*` is anything in one folder, `**` anything at all. Of several files
    of one name all lines count, each once.
    """

    def __init__(self, folders: Callable[[], Sequence[Path]]) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[FileState, dict[str, tuple[tuple[float, str], ...]]]] = {}

    def names(self) -> list[str]:
        """The names of all wildcards, sorted."""
        return sorted({name for lists in self._lists() for name in lists}, key=str.casefold)

    def snapshot(self) -> _Snapshot:
        """The wildcards as they are now, for a job whose pictures are all to be drawn from the same files."""
        return _Snapshot(self._lists())

    def _lists(self) -> list[dict[str, tuple[tuple[float, str], ...]]]:
        """The lists of each file by their names."""
        files = walk_folders(self._folders(), SUFFIXES)
        with self._lock:
            self._read = {file.path: self._of(file) for file in files}
            return [self._read[file.path][1] for file in files]

    def _of(self, file: FoundFile) -> tuple[FileState, dict[str, tuple[tuple[float, str], ...]]]:
        known = self._read.get(file.path)
        if known is not None and known[0] == file.state:
            return known
        try:
            return file.state, dict(_lists_of(file))
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            _log.warning("The wildcards in %s can't be read: %s", file.path, " ".join(str(error).split())[:200])
            return file.state, {}


class _Snapshot:
    """What wildcards are when a job is queued."""

    def __init__(self, lists: Sequence[dict[str, tuple[tuple[float, str], ...]]]) -> None:
        self._lists = [{comparable(name).casefold(): lines for name, lines in one.items()} for one in lists]
        self._known: dict[str, Lines] = {}

    def __call__(self, name: str) -> Lines:
        wanted = comparable(name).casefold().strip("/")
        if wanted not in self._known:
            self._known[wanted] = _joined(self._fitting(wanted))
        return self._known[wanted]

    def _fitting(self, wanted: str) -> Iterator[tuple[float, str]]:
        fits = _pattern(wanted) if any(mark in wanted for mark in "*?") else None
        for lists in self._lists:
            for name, lines in lists.items():
                if name == wanted or (fits is not None and fits.fullmatch(name)):
                    yield from lines


def _joined(lines: Iterator[tuple[float, str]]) -> Lines:
    each: dict[str, float] = {}
    for weight, text in lines:
        each.setdefault(text, weight)
    texts = tuple(sorted(each))
    weights = tuple(each[text] for text in texts)
    return Lines(texts, None if all(weight == 1 for weight in weights) else weights)


def _pattern(name: str) -> re.Pattern[str]:
    """`**` is anything, `*` and `?` are not "/"."""
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(signs.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\?)", name)))


def _lists_of(file: FoundFile) -> Iterator[tuple[str, tuple[tuple[float, str], ...]]]:
    """The lists in a file by their names. Raises OSError, ValueError or YAMLError."""
    if file.state.size > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST:,} bytes")
    text = decoded(file.path.read_bytes())
    stem, _, suffix = file.name.rpartition(".")
    if suffix.lower() == "txt":
        lines = (_COMMENT.sub("", line).strip() for line in text.splitlines())
        yield stem, tuple(map(_weighted, filter(None, lines)))
        return
    # Every value is the text that stands there: "no" and "1.50" are words of prompts.
    tree = json.loads(text) if suffix.lower() == "json" else yaml.load(text, Loader=yaml.CBaseLoader)
    found: dict[str, list[tuple[float, str]]] = {}
    for number, (name, entry) in enumerate(_entries(tree, (), 0)):
        if number >= _MOST_ENTRIES:
            raise ValueError(f"it has more than {_MOST_ENTRIES:,} entries")
        found.setdefault(name or stem, []).append(entry)
    yield from ((name, tuple(lines)) for name, lines in found.items())


def _entries(tree: object, keys: tuple[str, ...], depth: int) -> Iterator[tuple[str, tuple[float, str]]]:
    if depth > _DEEPEST:
        raise ValueError(f"its lists lie more than {_DEEPEST} deep")
    name = "/".join(keys)
    match tree:
        case dict() if "text" in tree and set(tree) <= {"text", "weight"}:
            yield name, (_number(tree.get("weight")), str(tree["text"]))
        case dict():
            for key, below in tree.items():
                yield from _entries(below, (*keys, str(key).strip("/")), depth + 1)
        case list():
            for entry in tree:
                yield from _entries(entry, keys, depth + 1)
        case None:
            return
        case _:
            yield name, _weighted(str(tree).strip())


def _number(value: object) -> float:
    try:
        return max(0.0, float(str(value)[:40])) if value is not None else 1.0
    except ValueError:
        return 1.0


def _weighted(line: str) -> tuple[float, str]:
    weight, text = weighed(line) if "::" in line else (1.0, line)
    return weight, text.strip()
