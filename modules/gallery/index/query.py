"""The search language, read: words, "phrases", -without, and field:value. In time linear in the text's length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from modules.parameters.infotext_values import printable

LONGEST: Final = 2000
MOST_TERMS: Final = 40
OPERATORS: Final = (">=", "<=", ">", "<", "=")
_QUOTE: Final = '"'


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. Without `field` it is a word or a phrase of the prompts.

    `operator` is one of OPERATORS, or "" for "contains". `until` is the end of a range `a..b`, whose start is `value`;
    an open end is an empty text. `start` and `end` are where the term stands in the text.
    """

    value: str
    field: str = ""
    operator: str = ""
    until: str | None = None
    without: bool = False
    quoted: bool = False
    start: int = 0
    end: int = 0


def parse_search(text: str) -> list[Term]:
    """The terms of a search. Never raises: an open quote ends with the text, and what is empty is left out."""
    return [term for term in _terms(printable(text[:LONGEST])) if term.value or term.field]


def term_at(text: str, place: int) -> Term | None:
    """The term that stands around `place`, as far as it is written; None between terms."""
    return next((term for term in _terms(text[:LONGEST]) if term.start <= place <= term.end), None)


def _terms(text: str) -> Iterator[Term]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        term = _term(text, place)
        yield term
        place = max(term.end, place + 1)


def _term(text: str, start: int) -> Term:
    place = start
    without = text[place] == "-" and place + 1 < len(text) and not text[place + 1].isspace()
    place += without
    name, quoted, after = _piece(text, place, stop=":")
    if after < len(text) and text[after] == ":" and (quoted or _is_name(name)):
        return _field(text, start, name, after + 1, without)
    word, quoted, after = _piece(text, place)
    return Term(word, without=without, quoted=quoted, start=start, end=after)


def _field(text: str, start: int, name: str, place: int, without: bool) -> Term:
    operator = next((one for one in OPERATORS if text.startswith(one, place)), "")
    place += len(operator)
    value, quoted, end = _piece(text, place)
    until = None
    if not operator and not quoted and ".." in value:
        value, _, until = value.partition("..")
    return Term(value, name, operator, until, without, quoted, start, end)


def _piece(text: str, place: int, stop: str = "") -> tuple[str, bool, int]:
    """A text in quotes, or up to the next blank or `stop`; whether it was quoted; and where it ends."""
    if text.startswith(_QUOTE, place):
        close = text.find(_QUOTE, place + 1)
        inner = text[place + 1 : len(text) if close < 0 else close]
        return inner, True, len(text) if close < 0 else close + 1
    end = place
    while end < len(text) and not text[end].isspace() and text[end] != stop:
        end += 1
    return text[place:end], False, end


def _is_name(name: str) -> bool:
    """Whether what stands before a colon can be a field: a prompt's own syntax, (word:1.2) and <lora:name>, can't."""
    return name[:1].isalpha() and all(one.isalnum() or one in "_-/." for one in name)
