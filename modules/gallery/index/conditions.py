"""A search as the pictures that it finds: each term a mask over the rows of the library.

SQLite compares what is no number, every value bound, none written into a statement.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from modules.gallery.index.dates import span_of
from modules.gallery.index.errors import MeaningError
from modules.gallery.index.library import Columns, Library
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
_COMPARE: Final[Mapping[str, Callable[[np.ndarray, float], np.ndarray]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "": operator.eq,
}


# The places of the pictures in a mask that show most what texts say, with how near each is, and what is to be said.
Nearest = Callable[[Sequence[str], Columns, np.ndarray], tuple[np.ndarray, np.ndarray, str | None]]
LIKE: Final = "like"


class _Unread(ValueError):
    """Why a term says nothing; one sentence."""


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures that a search finds: a mask over the rows of `library`. `state` is where all of them are.

    `explained` says what of the search was not understood. `nearness` is how near each row is to what a search by
    meaning says, None for other searches.
    """

    library: Columns
    mask: np.ndarray
    state: State
    explained: str | None
    nearness: np.ndarray | None = None

    @property
    def total(self) -> int:
        return int(np.count_nonzero(self.mask))

    def newest(self) -> np.ndarray:
        """The places of what was found, the newest first."""
        order = self.library.newest
        return np.asarray(order[self.mask[order]])


class Compiler:
    """Finds pictures. `keys` are the infotext's keys of this index, folded, with their rows."""

    def __init__(self, library: Library, keys: Mapping[str, int], nearest: Nearest) -> None:
        self._nearest = nearest
        self._library, self._now = library, library.now()
        self._keys = keys
        self._fields: Mapping[str, Callable[[Term], np.ndarray]] = {
            "seed": lambda term: self._now["has_seed"] & self._compared(term, self._now["seed"]),
            "size": self._size,
            "width": lambda term: self._compared(term, self._now["width"]),
            "height": lambda term: self._compared(term, self._now["height"]),
            "bytes": lambda term: self._compared(term, self._now["bytes"]),
            "date": self._date,
            "rating": self._rating,
            "tag": self._tag,
            "board": self._board,
            "folder": self._folder,
            "name": self._name,
            "program": self._program,
            "has": self._has,
            "is": self._is,
            "stack": self._stack,
            "prompt": lambda term: self._words(term, ("prompt",)),
            "negative": lambda term: self._words(term, ("negative",)),
        }

    @property
    def names(self) -> list[str]:
        """The language's own fields."""
        return [*ALIASES, *self._fields, LIKE, "in"]

    def compile(self, terms: list[Term], owner: str | None = None, *, own_only: bool = False) -> Found:
        """The pictures that all `terms` hold for; with `own_only`, those that `owner`'s login made, or nobody's."""
        explained = [f"Only the first {MOST_TERMS} conditions of a search count."] if len(terms) > MOST_TERMS else []
        state, parts, likes = State.THERE, list[np.ndarray](), list[str]()
        for term in terms[:MOST_TERMS]:
            if term.field == "in":
                if term.value.lower() == "trash":
                    state = State.TRASHED
                else:
                    explained.append(f"in:{term.value} is no place: there is in:trash.")
                continue
            try:
                if folded(term.field) == LIKE:
                    likes.append(_meant(term))
                    continue
                mask = self._condition(term)
            except _Unread as error:
                explained.append(str(error))
                continue
            parts.append(~mask if term.without else mask)
        if own_only:
            owners = self._now["owner"]
            parts.append((owners == 0) | (owners == self._now.owners.get(owner or "", -1)))
        found = self._now["state"] == state
        for part in parts:
            found &= part
        nearness = None
        if likes:
            try:
                found, nearness, said = self._likest(likes, found)
            except MeaningError as error:
                said = str(error)
            explained += [said] if said else []
        return Found(self._now, found, state, " ".join(explained) or None, nearness)

    def _likest(self, texts: Sequence[str], mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, str | None]:
        """Of what all other conditions hold for, those that show most what the texts say."""
        places, cosines, said = self._nearest(texts, self._now, mask)
        found, nearness = self._none(), np.zeros(len(self._now))
        found[places], nearness[places] = True, cosines
        return found, nearness, said

    def _condition(self, term: Term) -> np.ndarray:
        if not term.field:
            return self._words(term, ("prompt", "negative"))
        name = folded(term.field)
        if not term.value and not term.until:
            raise _Unread(f"{term.field}: says nothing yet: write a value behind the colon.")
        if (own := self._fields.get(name)) is not None:
            return own(term)
        keys = [self._keys[folded(key)] for key in ALIASES.get(name, ()) if folded(key) in self._keys]
        if name in ALIASES:
            return self._facts(term, keys) if keys else self._none()
        if name not in self._keys:
            raise self._unknown(term)
        return self._facts(term, [self._keys[name]])

    def _none(self) -> np.ndarray:
        return np.zeros(len(self._now), np.bool_)

    def _words(self, term: Term, columns: tuple[str, ...]) -> np.ndarray:
        """Pictures whose prompt or negative prompt contains the text, whatever its cases."""
        texts = self._library.texts_with(self._now, term.value)
        found = self._none()
        for column in columns:
            found |= self._now.having(column, texts)
        return found

    def _unknown(self, term: Term) -> _Unread:
        known = {folded(name): name for name in self.names} | {name: name for name in self._keys}
        near = [known[one] for one in difflib.get_close_matches(folded(term.field), known, n=3, cutoff=0.5)]
        if near:
            return _Unread(f"No picture has a field {term.field[:60]!r}: did you mean {' or '.join(near)}?")
        return _Unread(f"No picture has a field {term.field[:60]!r}; the box completes the names of those there are.")

    def _facts(self, term: Term, keys: list[int]) -> np.ndarray:
        """Pictures whose recipe has a value of one of `keys` that the term is true of."""
        if term.operator in (">=", ">", "<=", "<") or term.until is not None:
            sql, values = self._number(term, "number")
        elif not term.quoted and not term.operator and (number := number_of(term.value)) is not None:
            sql, values = "(number = ? OR (number IS NULL AND instr(folded, ?)))", (number, folded(term.value))
        else:
            sql, values = _text(term, "folded", is_folded=True)
        marks = ", ".join("?" for _ in keys)
        return self._recipes(f"key IN ({marks}) AND {sql}", (*keys, *values))

    def _recipes(self, condition: str, values: tuple[object, ...]) -> np.ndarray:
        """Pictures whose recipe has a value for which the condition holds."""
        # From the few values to their recipes: SQLite would sometimes look through all facts instead.
        sql = f"SELECT f.recipe FROM fact_values AS v CROSS JOIN facts AS f ON f.value = v.id WHERE {condition}"
        return self._now.having("recipe", self._library.ids(sql, values))

    def _limits(self, term: Term) -> list[tuple[str, float | int]]:
        """A term about a number as signs with what each compares to."""
        if term.until is None:
            return [(term.operator or "=", self._read_number(term, term.value))]
        ends = ((">=", term.value), ("<=", term.until))
        return [(sign, self._read_number(term, text)) for sign, text in ends if text]

    def _number(self, term: Term, column: str) -> Condition:
        limits = self._limits(term)
        return " AND ".join(f"{column} {sign} ?" for sign, _ in limits), tuple(value for _, value in limits)

    def _compared(self, term: Term, column: np.ndarray) -> np.ndarray:
        found = np.ones(len(self._now), np.bool_)
        for sign, value in self._limits(term):
            found &= _COMPARE[sign](column, value)
        return found

    def _read_number(self, term: Term, text: str) -> float | int:
        number = number_of(text)
        if number is None:
            raise _Unread(
                f"{term.field}: takes a number, as in {term.field}:20 or {term.field}:>=20, not {text[:40]!r}."
            )
        # Seeds are larger than a float holds.
        return int(text) if text.isascii() and text.isdecimal() else number

    def _size(self, term: Term) -> np.ndarray:
        """`size:512x768`, or the longer side as a number."""
        width, cross, height = term.value.lower().partition("x")
        columns = self._now["width"], self._now["height"]
        if not term.until and cross and width.isdecimal() and height.isdecimal() and len(term.value) < 20:
            compare = _COMPARE[term.operator]
            return np.asarray(compare(columns[0], int(width)) & compare(columns[1], int(height)))
        return self._compared(term, np.maximum(*columns))

    def _date(self, term: Term) -> np.ndarray:
        def span(text: str) -> tuple[float, float]:
            found = span_of(text)
            if found is None:
                raise _Unread(f"date: takes a year, month or day, as in date:2026-10 or date:today, not {text[:40]!r}.")
            return found

        begin, end = float("-inf"), float("inf")
        if term.until is not None:
            begin = span(term.value)[0] if term.value else begin
            end = span(term.until)[1] if term.until else end
        else:
            day = span(term.value)
            match term.operator:
                case ">=":
                    begin = day[0]
                case ">":
                    begin = day[1]
                case "<":
                    end = day[0]
                case "<=":
                    end = day[1]
                case _:
                    begin, end = day
        created = self._now["created"]
        return np.asarray((created >= begin) & (created < end))

    def _marked(self, marked: str, condition: str, values: tuple[object, ...] = ()) -> np.ndarray:
        """Pictures of the rows of a table of the marks for which the condition holds."""
        wanted = np.unique(self._library.contents(f"SELECT content FROM marks.{marked} WHERE {condition}", values))
        return np.asarray(np.isin(self._now["content"], wanted, kind="sort"))

    def _rating(self, term: Term) -> np.ndarray:
        sql, values = self._number(term, "rating")
        rated = self._marked("marks", f"rating > 0 AND {sql}", values)
        if not self._includes_nothing(term):
            return rated
        # What nobody rated has no row, and counts as rated with 0.
        return np.asarray(rated | ~self._marked("marks", "rating > 0"))

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

    def _tag(self, term: Term) -> np.ndarray:
        return self._marked("tags", *_text(term, "folded", is_folded=True))

    def _board(self, term: Term) -> np.ndarray:
        sql, values = _text(term, "name")
        boards = f"SELECT id FROM marks.boards WHERE id = ? OR {sql}"
        return self._marked("board_pictures", f"board IN ({boards})", (term.value, *values))

    def _folder(self, term: Term) -> np.ndarray:
        sql, values = _text(term, "name")
        return self._now.having("folder", self._library.ids(f"SELECT id FROM folders WHERE {sql}", values))

    def _name(self, term: Term) -> np.ndarray:
        sql, values = _text(term, "name")
        return self._now.among(self._library.ids(f"SELECT id FROM pictures WHERE {sql}", values))

    def _program(self, term: Term) -> np.ndarray:
        _refuse_order(term)
        wanted = term.value.casefold()
        is_it = wanted.__eq__ if term.operator == "=" else lambda name: wanted in name
        numbers = [number for name, number in list(self._now.programs.items()) if name and is_it(name.casefold())]
        return self._now.having("program", np.array(numbers, np.int64))

    def _has(self, term: Term) -> np.ndarray:
        name = folded(term.value)
        match name.removesuffix("s"):
            case "tag":
                return self._marked("tags", "1")
            case "board":
                return self._marked("board_pictures", "1")
            case "rating":
                return self._marked("marks", "rating > 0")
            case "infotext" | "parameter" | "prompt":
                return np.asarray(self._now["recipe"] > 0)
            case "seed":
                return self._now["has_seed"]
        keys = [row for key, row in self._keys.items() if name in key]
        if not keys:
            raise _Unread(f"No picture has {term.value[:60]!r}: has: takes part of a key, as in has:controlnet.")
        return self._recipes(f"key IN ({', '.join('?' * len(keys[:300]))})", tuple(keys[:300]))

    def _is(self, term: Term) -> np.ndarray:
        if term.value.lower() not in FAVOURITE_NAMES:
            raise _Unread(f"is:{term.value[:40]} is nothing a picture can be: there is is:favourite.")
        return self._marked("marks", "favourite = 1")

    def _stack(self, term: Term) -> np.ndarray:
        try:
            number = int(term.value, 16) if len(term.value) <= 16 else -1
        except ValueError:
            number = -1
        return np.asarray(self._now["stack"] == number)


def _meant(term: Term) -> str:
    """What a search by meaning says."""
    if term.without:
        raise _Unread("like: finds what is nearest, which has no opposite: leave the sign before it out.")
    if term.until is not None:
        return f"{term.value}..{term.until}"
    if not term.value.strip():
        raise _Unread('like: says nothing yet: write what a picture shows behind it, as in like:"a red car".')
    return f"{term.operator}{term.value}"


def _refuse_order(term: Term) -> None:
    if term.until is not None or term.operator in (">=", "<=", ">", "<"):
        raise _Unread(f"{term.field}: is a text, which is neither larger nor smaller than another.")


def _text(term: Term, column: str, *, is_folded: bool = False) -> Condition:
    """A text that contains the value, or with `=` is it."""
    _refuse_order(term)
    wanted = folded(term.value) if is_folded else term.value.casefold()
    # SQLite's own lower() is fast and knows ASCII alone.
    compared = column if is_folded else f"lower({column})" if wanted.isascii() else f"fold({column})"
    return (f"{compared} = ?", (wanted,)) if term.operator == "=" else (f"instr({compared}, ?)", (wanted,))
