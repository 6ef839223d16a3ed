"""What may stand at a place of the search box: names of fields, and the values that a field has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from modules.gallery.index.conditions import ALIASES
from modules.gallery.index.query import Term, term_at
from modules.gallery.index.records import Completion
from modules.gallery.index.search import NumberedField, Search
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.writing import folded

_MOST: Final = 20
_FIXED: Final = {
    "in": ("trash",),
    "is": ("favourite",),
    "rating": (">=1", ">=2", ">=3", ">=4", "5", "0"),
    "size": (">=1024", ">=2048"),
    "date": ("today", "yesterday", "week", "month"),
}
# Where the values of a field of the language stand: value and number of pictures.
_COUNTED: Final = {
    "tag": "SELECT min(tag), count(*) AS n FROM marks.tags WHERE instr(folded, ?) GROUP BY folded",
    "board": (
        "SELECT name, (SELECT count(*) FROM marks.board_pictures WHERE board = boards.id) AS n FROM marks.boards"
        " WHERE instr(lower(name), ?)"
    ),
}
# What the library counts.
_NUMBERED: Final[Mapping[str, NumberedField]] = {"folder": "folder", "model": "model", "program": "program"}


def complete(files: GalleryFiles, search: Search, q: str, at: int) -> list[Completion]:
    """At most 20 things that may stand at place `at` of `q`, the most frequent first."""
    term = term_at(q, at) or Term("", start=at, end=at)
    sign = "-" if term.without else ""
    if not term.field:
        if term.quoted:
            return []
        return [replace(one, text=f"{sign}{one.text}") for one in _names(files, search, term)][:_MOST]
    values = list(_values(files, search, term))[:_MOST]
    name = f'"{term.field}"' if " " in term.field else term.field
    return [
        Completion(f"{sign}{name}:{term.operator}{_quoted(value)}", value, count, term.start, term.end)
        for value, count in values
    ]


def _names(files: GalleryFiles, search: Search, term: Term) -> Iterator[Completion]:
    typed = folded(term.value)
    own = sorted(search.compiler().names)
    for name in own:
        if name.startswith(typed):
            yield Completion(f"{name}:", f"{name}:", 0, term.start, term.end)
    if not typed:
        return
    sql = (
        "SELECT k.name, (SELECT count(*) FROM fact_values WHERE key = k.id) AS n FROM keys AS k"
        " WHERE instr(k.folded, ?) ORDER BY instr(k.folded, ?), n DESC LIMIT ?"
    )
    for row in files.read(sql, (typed, typed, _MOST)):
        name = str(row["name"])
        if folded(name) not in own:
            yield Completion(f"{name.replace(' ', '_')}:", f"{name}:", int(row["n"]), term.start, term.end)


def _values(files: GalleryFiles, search: Search, term: Term) -> Iterator[tuple[str, int]]:
    name, typed = folded(term.field), folded(term.value)
    for value in _FIXED.get(name, ()):
        if value.startswith(f"{term.operator}{typed}"):
            yield value.removeprefix(term.operator), 0
    if (sql := _COUNTED.get(name)) is not None:
        rows = files.read(f"{sql} ORDER BY n DESC LIMIT {_MOST}", (typed,))
    elif (numbered := _NUMBERED.get(name)) is not None:
        counted = search.counted(numbered)
        yield from [(one, count) for one, count in counted if folded(term.value) in folded(one)][:_MOST]
        return
    elif name == "has":
        rows = files.read(
            "SELECT lower(name), 0 FROM keys WHERE instr(folded, ?) ORDER BY name LIMIT ?", (typed, _MOST)
        )
    else:
        keys = [folded(key) for key in ALIASES.get(name, (term.field,))][:1]
        rows = files.read(
            # Not pictures but settings are counted: enough for an order, and a hundredth of the work.
            "SELECT v.text, (SELECT count(*) FROM facts WHERE value = v.id) AS n"
            " FROM fact_values AS v JOIN keys AS k ON k.id = v.key"
            " WHERE k.folded = ? AND instr(v.folded, ?) ORDER BY n DESC, v.text LIMIT ?",
            (*keys, typed, _MOST),
        )
    for row in rows:
        yield str(row[0]), int(row[1])


def _quoted(value: str) -> str:
    plain = not any(sign.isspace() for sign in value) and '"' not in value and ".." not in value
    return value if plain else f'"{value.replace(chr(34), "")}"'
