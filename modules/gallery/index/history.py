"""Prompts remembered: each prompt with its negative prompt, its pictures, and whether it is a favourite."""

from __future__ import annotations

import sqlite3
from typing import Final

from modules.gallery.index.errors import UnknownEntry
from modules.gallery.index.marks import Marks
from modules.gallery.index.query import parse_search
from modules.gallery.index.records import Looker, PromptEntry
from modules.gallery.index.search import EVERYBODY, Search
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.writing import State

_PICTURES: Final = 4
_DIGEST: Final = 12


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
        found = self._search.compiler().compile(parse_search(q), looker.login, own_only=looker.own_only)
        grouped = (
            f"SELECT p.prompts AS prompts, count(*) AS n, max(p.created) AS last FROM pictures AS p WHERE {found.where}"
            " AND p.prompts IS NOT NULL GROUP BY p.prompts"
        )
        rows_of = (
            f"{found.sets}SELECT a.digest AS prompt_digest, b.digest AS negative_digest, a.text AS prompt,"
            " b.text AS negative, g.n, g.last, g.prompts, s.created AS favourite"
            f" FROM ({grouped}) AS g JOIN prompts AS t ON t.id = g.prompts"
            " JOIN texts AS a ON a.id = t.prompt JOIN texts AS b ON b.id = t.negative"
            " LEFT JOIN marks.favourite_prompts AS s ON s.prompt_digest = a.digest AND s.negative_digest = b.digest"
        )
        values = (*found.set_values, *found.values)
        if favourites:
            return self._favourites(rows_of, values, q, limit, offset, looker)
        total = int(self._files.read(f"{found.sets}SELECT count(*) FROM ({grouped})", values)[0][0])
        # Sorted and cut before the texts are joined: they are what is long.
        cut = rows_of.replace(f"({grouped})", f"({grouped} ORDER BY last DESC, prompts DESC LIMIT ? OFFSET ?)")
        rows = self._files.read(f"{cut} ORDER BY g.last DESC, g.prompts DESC", (*values, limit, offset))
        return total, [self._entry(row, looker) for row in rows]

    def _favourites(
        self, rows_of: str, values: tuple[object, ...], q: str, limit: int, offset: int, looker: Looker
    ) -> tuple[int, list[PromptEntry]]:
        with_pictures = [
            self._entry(row, looker)
            for row in self._files.read(f"{rows_of} WHERE s.created IS NOT NULL ORDER BY g.last DESC", values)
        ]
        known = {entry.id for entry in with_pictures}
        words = [term.value.casefold() for term in parse_search(q) if not term.field and not term.without]
        others = []
        for row in self._files.read(
            "SELECT *, created AS favourite FROM marks.favourite_prompts ORDER BY created DESC"
        ):
            text = f"{row['prompt']}\n{row['negative']}".casefold()
            if _id(row) not in known and all(word in text for word in words):
                others.append(PromptEntry(_id(row), str(row["prompt"]), str(row["negative"]), 0, None, True, ()))
        every = [*with_pictures, *others]
        return len(every), every[offset : offset + limit]

    def _entry(self, row: sqlite3.Row, looker: Looker) -> PromptEntry:
        own = " AND (owner IS NULL OR owner = ?)" if looker.own_only else ""
        sql = f"SELECT id FROM pictures WHERE state = ? AND prompts = ?{own} ORDER BY created DESC LIMIT ?"
        values = (State.THERE, row["prompts"], *((looker.login,) if own else ()), _PICTURES)
        pictures = self._search.pictures([int(one["id"]) for one in self._files.read(sql, values)])
        return PromptEntry(
            _id(row),
            str(row["prompt"]),
            str(row["negative"]),
            int(row["n"]),
            float(row["last"]),
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
