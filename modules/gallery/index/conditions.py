"""A search as SQL: each term one condition on a row of pictures, every value bound, none written into the statement."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from modules.gallery.index.dates import span_of
from modules.gallery.index.query import MOST_TERMS, Term
from modules.gallery.index.reading import LORA
from modules.gallery.index.writing import MODEL, State, folded, number_of

Condition = tuple[str, tuple[object, ...]]
FAVOURITE_NAMES: Final = frozenset({"favourite", "favorite", "fav"})
# What fields of the language are called in infotext.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "model": (MODEL, "Model hash"),
    "lora": (LORA,),
    "sampler": ("Sampler",),
    "steps": ("Steps",),
    "cfg": ("CFG scale",),
}
_TRIGRAM: Final = 3
_ANY: Final = "EXISTS (SELECT 1 FROM {table} WHERE content = p.content)"


class _Unread(ValueError):
    """Why a term says nothing; one sentence."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """`where` holds for the rows that a search finds; `sets` stand before the whole statement.

    They are worked out once, however often the statement names them. `explained` says what of the search was not
    understood.
    """

    where: str
    values: tuple[object, ...]
    explained: str | None
    sets: str = ""
    set_values: tuple[object, ...] = ()


class Compiler:
    """Makes conditions. `keys` are the infotext's keys of this index, folded, with their rows.

    `is_rare` says whether few texts hold a phrase of the word index.
    """

    def __init__(self, keys: Mapping[str, int], is_rare: Callable[[str], bool]) -> None:
        self._is_rare = is_rare
        self._keys = keys
        self._sets: list[tuple[str, tuple[object, ...]]] = []
        self._fields: Mapping[str, Callable[[Term], Condition]] = {
            "seed": lambda term: self._number(term, "p.seed"),
            "size": self._size,
            "width": lambda term: self._number(term, "p.width"),
            "height": lambda term: self._number(term, "p.height"),
            "bytes": lambda term: self._number(term, "p.bytes"),
            "date": self._date,
            "rating": self._rating,
            "tag": self._tag,
            "board": self._board,
            "folder": self._folder,
            "name": lambda term: _text(term, "p.name"),
            "program": lambda term: _text(term, "p.program"),
            "has": self._has,
            "is": self._is,
            "stack": self._stack,
            "prompt": lambda term: self._words(term, ("prompt",)),
            "negative": lambda term: self._words(term, ("negative",)),
        }

    @property
    def names(self) -> list[str]:
        """The language's own fields."""
        return [*ALIASES, *self._fields, "in"]

    def compile(self, terms: list[Term], owner: str | None = None, *, own_only: bool = False) -> Conditions:
        """The condition of all `terms`; with `own_only`, of pictures that `owner`'s login made, or nobody's."""
        explained = [f"Only the first {MOST_TERMS} conditions of a search count."] if len(terms) > MOST_TERMS else []
        self._sets.clear()
        state, parts, values = State.THERE, list[str](), list[object]()
        for term in terms[:MOST_TERMS]:
            if term.field == "in":
                if term.value.lower() == "trash":
                    state = State.TRASHED
                else:
                    explained.append(f"in:{term.value} is no place: there is in:trash.")
                continue
            try:
                sql, more = self._condition(term)
            except _Unread as error:
                explained.append(str(error))
                continue
            # NULL, of a picture without infotext, is neither true nor false.
            parts.append(f"NOT coalesce(({sql}), 0)" if term.without else f"({sql})")
            values += more
        if own_only:
            parts.append("(p.owner IS NULL OR p.owner = ?)")
            values.append(owner)
        where = " AND ".join([f"p.state = {int(state)}", *parts])
        sets = "WITH " + ", ".join(sql for sql, _ in self._sets) + " " if self._sets else ""
        set_values = tuple(value for _, more in self._sets for value in more)
        return Conditions(where, tuple(values), " ".join(explained) or None, sets, set_values)

    def _set(self, sql: str, values: tuple[object, ...] = ()) -> str:
        """The name of the set of numbers that `sql` finds."""
        name = f"set{len(self._sets)}"
        self._sets.append((f"{name} (id) AS MATERIALIZED ({sql})", values))
        return name

    def _condition(self, term: Term) -> Condition:
        if not term.field:
            return self._words(term, ("prompt", "negative"))
        name = folded(term.field)
        if not term.value and not term.until:
            raise _Unread(f"{term.field}: says nothing yet: write a value behind the colon.")
        if (own := self._fields.get(name)) is not None:
            return own(term)
        keys = [self._keys[folded(key)] for key in ALIASES.get(name, ()) if folded(key) in self._keys]
        if name in ALIASES:
            return self._facts(term, keys) if keys else ("0", ())
        if name not in self._keys:
            raise self._unknown(term)
        return self._facts(term, [self._keys[name]])

    def _words(self, term: Term, columns: tuple[str, ...]) -> Condition:
        """Pictures whose prompt or negative prompt contains the text, whatever its cases."""
        text = term.value
        phrase = '"' + text.replace('"', '""').replace("\0", " ") + '"'
        if len(text) >= _TRIGRAM and self._is_rare(phrase):
            texts = self._set("SELECT rowid FROM words WHERE words MATCH ?", (phrase,))
        else:
            # Shorter than what the word index holds, two signs of Chinese, say; or in so many that looking is faster.
            found = "SELECT id FROM texts WHERE instr(coalesce(folded, text), ?)"
            texts = self._set(found, (text.casefold(),))
        prompts = self._set(" UNION ".join(f"SELECT id FROM prompts WHERE {column} IN {texts}" for column in columns))
        return f"p.prompts IN {prompts}", ()

    def _unknown(self, term: Term) -> _Unread:
        known = {folded(name): name for name in self.names} | {name: name for name in self._keys}
        near = [known[one] for one in difflib.get_close_matches(folded(term.field), known, n=3, cutoff=0.5)]
        if near:
            return _Unread(f"No picture has a field {term.field[:60]!r}: did you mean {' or '.join(near)}?")
        return _Unread(f"No picture has a field {term.field[:60]!r}; the box completes the names of those there are.")

    def _facts(self, term: Term, keys: list[int]) -> Condition:
        """Pictures whose recipe has a value of one of `keys` that the term is true of."""
        if term.operator in (">=", ">", "<=", "<") or term.until is not None:
            sql, values = self._number(term, "number")
        elif not term.quoted and not term.operator and (number := number_of(term.value)) is not None:
            sql, values = "(number = ? OR (number IS NULL AND instr(folded, ?)))", (number, folded(term.value))
        else:
            sql, values = _text(term, "folded", is_folded=True)
        marks = ", ".join("?" for _ in keys)
        of_key = f"SELECT id FROM fact_values WHERE key IN ({marks}) AND {sql}"
        recipes = self._set(f"SELECT DISTINCT recipe FROM facts WHERE value IN ({of_key})", (*keys, *values))
        return f"p.recipe IN {recipes}", ()

    def _number(self, term: Term, column: str) -> Condition:
        if term.until is not None:
            parts, values = [], list[object]()
            for sign, text in ((">=", term.value), ("<=", term.until)):
                if text:
                    parts.append(f"{column} {sign} ?")
                    values.append(self._read_number(term, text))
            return " AND ".join(parts), tuple(values)
        return f"{column} {term.operator or '='} ?", (self._read_number(term, term.value),)

    def _read_number(self, term: Term, text: str) -> float | int:
        number = number_of(text)
        if number is None:
            raise _Unread(
                f"{term.field}: takes a number, as in {term.field}:20 or {term.field}:>=20, not {text[:40]!r}."
            )
        # Seeds are larger than a float holds.
        return int(text) if text.isascii() and text.isdecimal() else number

    def _size(self, term: Term) -> Condition:
        """`size:512x768`, or the longer side as a number."""
        width, cross, height = term.value.lower().partition("x")
        if not term.until and cross and width.isdecimal() and height.isdecimal() and len(term.value) < 20:
            sign = term.operator or "="
            return f"(p.width {sign} ? AND p.height {sign} ?)", (int(width), int(height))
        return self._number(term, "max(p.width, p.height)")

    def _date(self, term: Term) -> Condition:
        def span(text: str) -> tuple[float, float]:
            found = span_of(text)
            if found is None:
                raise _Unread(f"date: takes a year, month or day, as in date:2026-10 or date:today, not {text[:40]!r}.")
            return found

        if term.until is not None:
            parts, values = [], list[object]()
            if term.value:
                parts.append("p.created >= ?")
                values.append(span(term.value)[0])
            if term.until:
                parts.append("p.created < ?")
                values.append(span(term.until)[1])
            return " AND ".join(parts) or "1", tuple(values)
        begin, end = span(term.value)
        match term.operator:
            case ">=":
                return "p.created >= ?", (begin,)
            case ">":
                return "p.created >= ?", (end,)
            case "<":
                return "p.created < ?", (begin,)
            case "<=":
                return "p.created < ?", (end,)
        return "(p.created >= ? AND p.created < ?)", (begin, end)

    def _rating(self, term: Term) -> Condition:
        sql, values = self._number(term, "rating")
        rated = f"p.content IN (SELECT content FROM marks.marks WHERE rating > 0 AND {sql})"
        if not self._includes_nothing(term):
            return rated, values
        # What nobody rated has no row, and counts as rated with 0.
        return f"({rated} OR p.content NOT IN (SELECT content FROM marks.marks WHERE rating > 0))", values

    def _includes_nothing(self, term: Term) -> bool:
        """Whether a condition on a rating holds for 0."""
        if term.until is not None:
            return not term.value or self._read_number(term, term.value) <= 0
        number = self._read_number(term, term.value)
        match term.operator:
            case ">=":
                return number <= 0
            case ">":
                return number < 0
            case "<=":
                return number >= 0
            case "<":
                return number > 0
        return number == 0

    def _tag(self, term: Term) -> Condition:
        sql, values = _text(term, "folded", is_folded=True)
        return f"p.content IN (SELECT content FROM marks.tags WHERE {sql})", values

    def _board(self, term: Term) -> Condition:
        sql, values = _text(term, "name")
        boards = f"SELECT id FROM marks.boards WHERE id = ? OR {sql}"
        return f"p.content IN (SELECT content FROM marks.board_pictures WHERE board IN ({boards}))", (
            term.value,
            *values,
        )

    def _folder(self, term: Term) -> Condition:
        sql, values = _text(term, "name")
        return f"p.folder IN (SELECT id FROM folders WHERE {sql})", values

    def _has(self, term: Term) -> Condition:
        name = folded(term.value)
        match name.removesuffix("s"):
            case "tag":
                return _ANY.format(table="marks.tags"), ()
            case "board":
                return _ANY.format(table="marks.board_pictures"), ()
            case "rating":
                return f"{_ANY.format(table='marks.marks')[:-1]} AND rating > 0)", ()
            case "infotext" | "parameter" | "prompt":
                return "p.recipe IS NOT NULL", ()
            case "seed":
                return "p.seed IS NOT NULL", ()
        keys = [row for key, row in self._keys.items() if name in key]
        if not keys:
            raise _Unread(f"No picture has {term.value[:60]!r}: has: takes part of a key, as in has:controlnet.")
        rows = ", ".join(str(int(row)) for row in keys[:300])
        of_key = f"SELECT id FROM fact_values WHERE key IN ({rows})"
        recipes = self._set(f"SELECT DISTINCT recipe FROM facts WHERE value IN ({of_key})")
        return f"p.recipe IN {recipes}", ()

    def _is(self, term: Term) -> Condition:
        if term.value.lower() not in FAVOURITE_NAMES:
            raise _Unread(f"is:{term.value[:40]} is nothing a picture can be: there is is:favourite.")
        return "p.content IN (SELECT content FROM marks.marks WHERE favourite = 1)", ()

    def _stack(self, term: Term) -> Condition:
        try:
            number = int(term.value, 16) if len(term.value) <= 16 else -1
        except ValueError:
            number = -1
        return "p.stack = ?", (number,)


def _text(term: Term, column: str, *, is_folded: bool = False) -> Condition:
    """A text that contains the value, or with `=` is it."""
    if term.until is not None or term.operator in (">=", "<=", ">", "<"):
        raise _Unread(f"{term.field}: is a text, which is neither larger nor smaller than another.")
    wanted = folded(term.value) if is_folded else term.value.casefold()
    # SQLite's own lower() is fast and knows ASCII alone.
    compared = column if is_folded else f"lower({column})" if wanted.isascii() else f"fold({column})"
    return (f"{compared} = ?", (wanted,)) if term.operator == "=" else (f"instr({compared}, ?)", (wanted,))
