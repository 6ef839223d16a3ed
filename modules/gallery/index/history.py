"""Prompts remembered: each prompt with its negative prompt, its pictures, and whether it is a favourite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from modules.gallery.index.errors import UnknownEntry
from modules.gallery.index.marks import Marks
from modules.gallery.index.query import parse_search
from modules.gallery.index.records import Looker, PromptEntry
from modules.gallery.index.search import EVERYBODY, Search
from modules.gallery.index.store import MANY, GalleryFiles
from modules.gallery.index.writing import State

_PICTURES: Final = 4
_DIGEST: Final = 12
_TEXTS: Final = (
    "SELECT a.digest AS prompt_digest, b.digest AS negative_digest, a.text AS prompt, b.text AS negative,"
    " t.id AS prompts, s.created AS favourite FROM prompts AS t"
    " JOIN texts AS a ON a.id = t.prompt JOIN texts AS b ON b.id = t.negative"
    " LEFT JOIN marks.favourite_prompts AS s ON s.prompt_digest = a.digest AND s.negative_digest = b.digest"
)


@dataclass(frozen=True, slots=True)
class _Used:
    """The row of a prompt, how many of its pictures were found, and when the newest of them was made."""

    prompts: int
    count: int
    last: float


class PromptHistory:
    """Reads the prompts of the index. Every method raises IndexFileError."""

    def __init__(self, files: GalleryFiles, search: Search, marks: Marks) -> None:
        self._files, self._search, self._marks = files, search, marks

    def entries(
        self, q: str = "", *, favourites: bool = False, limit: int = 50, offset: int = 0, looker: Looker = EVERYBODY
    ) -> tuple[int, list[PromptEntry]]:
        """How many prompts match a search, and a stretch of them, the one of the newest picture first.

        Favourites are there without pictures too.
        """
        found = self._search.found(q, looker)
        order = found.newest()
        order = order[found.library["prompts"][order] > 0]
        prompts, first, counts = np.unique(found.library["prompts"][order], return_index=True, return_counts=True)
        by_time = np.argsort(first)
        if favourites:
            by_time = by_time[np.isin(prompts[by_time], self._favourite_prompts())]
        last = found.library["created"][order[first]]
        used = [_Used(int(prompts[place]), int(counts[place]), float(last[place])) for place in by_time]
        total, entries = len(used), self._entries(used[offset : offset + limit], looker)
        if favourites:
            others = self._without_pictures(q, [one.prompts for one in used])
            entries += others[max(0, offset - total) : max(0, offset + limit - total)]
            total += len(others)
        return total, entries

    def _favourite_prompts(self) -> list[int]:
        sql = (
            "SELECT t.id FROM marks.favourite_prompts AS s JOIN texts AS a ON a.digest = s.prompt_digest"
            " JOIN texts AS b ON b.digest = s.negative_digest"
            " JOIN prompts AS t ON t.prompt = a.id AND t.negative = b.id"
        )
        return [int(row[0]) for row in self._files.read(sql)]

    def _without_pictures(self, q: str, used: Sequence[int]) -> list[PromptEntry]:
        """Favourites that have no picture any more."""
        words = [term.value.casefold() for term in parse_search(q) if not term.field and not term.without]
        sql = (
            "SELECT s.*, s.created AS favourite, t.id AS prompts FROM marks.favourite_prompts AS s"
            " LEFT JOIN texts AS a ON a.digest = s.prompt_digest LEFT JOIN texts AS b ON b.digest = s.negative_digest"
            " LEFT JOIN prompts AS t ON t.prompt = a.id AND t.negative = b.id ORDER BY s.created DESC"
        )
        known, found = set(used), []
        for row in self._files.read(sql):
            text = f"{row['prompt']}\n{row['negative']}".casefold()
            if row["prompts"] not in known and all(word in text for word in words):
                found.append(PromptEntry(_id(row), str(row["prompt"]), str(row["negative"]), 0, None, True, ()))
        return found

    def _entries(self, used: Sequence[_Used], looker: Looker) -> list[PromptEntry]:
        found: dict[int, sqlite3.Row] = {}
        for start in range(0, len(used), MANY):
            part = [one.prompts for one in used[start : start + MANY]]
            sql = f"{_TEXTS} WHERE t.id IN ({', '.join('?' * len(part))})"
            found |= {int(row["prompts"]): row for row in self._files.read(sql, part)}
        return [self._entry(one, found[one.prompts], looker) for one in used if one.prompts in found]

    def _entry(self, used: _Used, row: sqlite3.Row, looker: Looker) -> PromptEntry:
        own = " AND (owner IS NULL OR owner = ?)" if looker.own_only else ""
        sql = f"SELECT id FROM pictures WHERE state = ? AND prompts = ?{own} ORDER BY created DESC LIMIT ?"
        values = (State.THERE, used.prompts, *((looker.login,) if own else ()), _PICTURES)
        pictures = self._search.pictures([int(one["id"]) for one in self._files.read(sql, values)])
        return PromptEntry(
            _id(row),
            str(row["prompt"]),
            str(row["negative"]),
            used.count,
            used.last,
            row["favourite"] is not None,
            pictures,
        )

    def favour(self, prompt_id: str, favourite: bool) -> None:
        """Make a prompt a favourite, or none any more. Raises UnknownEntry."""
        unknown = UnknownEntry(f"There is no prompt {prompt_id[:60]!r}: its pictures were deleted.")
        try:
            raw = bytes.fromhex(prompt_id)
        except ValueError:
            raise unknown from None
        digests = (raw[:_DIGEST], raw[_DIGEST:])
        if not favourite:
            self._marks.favour_prompt(digests, None)
            return
        texts = [self._files.read("SELECT text FROM texts WHERE digest = ?", (digest,)) for digest in digests]
        if not all(texts):
            raise unknown
        self._marks.favour_prompt(digests, [str(rows[0][0]) for rows in texts])


def _id(row: sqlite3.Row) -> str:
    return (bytes(row["prompt_digest"]) + bytes(row["negative_digest"])).hex()
