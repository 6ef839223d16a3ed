"""What searches compare, in memory: the numbers of every picture, and the texts of the prompts.

SQLite takes a microsecond for a row, and a search of a hundred thousand pictures has fifty milliseconds. A row takes
some 110 bytes here, and the texts are held up to a bound, beyond which SQLite compares them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from modules.gallery.index.store import MANY, GalleryFiles

# Columns that are 0 where a picture has no such thing; ids begin with 1. `prompt` and `negative` are rows of texts;
# `owner` and `program` count the names that there are; `content` is the hash of the digest in this process.
_ROW: Final = np.dtype(
    [
        ("id", np.int64),
        ("created", np.float64),
        ("stack", np.int64),
        ("seed", np.int64),
        ("bytes", np.int64),
        ("width", np.int64),
        ("height", np.int64),
        ("day", np.int32),
        ("folder", np.int32),
        ("prompts", np.int32),
        ("prompt", np.int32),
        ("negative", np.int32),
        ("recipe", np.int32),
        ("model", np.int32),
        ("state", np.int8),
        ("has_seed", np.bool_),
        ("content", np.int64),
        ("program", np.int32),
        ("owner", np.int32),
    ]
)
_SELECT: Final = (
    "SELECT p.id, p.created, p.stack, coalesce(p.seed, 0), p.bytes, p.width, p.height, p.day, p.folder,"
    " coalesce(p.prompts, 0), coalesce(t.prompt, 0), coalesce(t.negative, 0), coalesce(p.recipe, 0),"
    " coalesce(p.model, 0), p.state, p.seed IS NOT NULL, p.content, p.program, coalesce(p.owner, '')"
    " FROM pictures AS p LEFT JOIN prompts AS t ON t.id = p.prompts"
)
# Signs of all texts together: of half a million prompts as people write them.
MOST_SIGNS: Final = 100_000_000
# PromptTexts that fewer than this hold are found by the word index; above, comparing every text is faster.
RARE: Final = 300
# Rows that are read apart when they changed; beyond, all are.
_MOST_APART: Final = 5_000


@dataclass(slots=True)
class Names:
    """A number for each of the names that there are; the empty one is 0."""

    numbers: dict[str, int] = field(default_factory=lambda: {"": 0})

    def of(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """The texts of prompts without their cases, with the ids of their rows; None where they are too many to be held."""

    ids: np.ndarray
    folded: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Columns:
    """One state of the library, which never changes: an array for each field of `_ROW`, by the rows' ids upwards.

    `newest` are the places of all rows, the newest first. `orders` remembers what was sorted.
    """

    generation: str
    seq: int
    columns: dict[str, np.ndarray]
    newest: np.ndarray
    texts: PromptTexts
    programs: dict[str, int]
    owners: dict[str, int]
    orders: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.newest)

    def having(self, column: str, ids: np.ndarray) -> np.ndarray:
        """Which rows have one of `ids`, all above 0, in a column."""
        values = self[column]
        table = np.zeros(int(values.max(initial=0)) + 1, np.bool_)
        table[ids[ids < len(table)]] = True
        return np.asarray(table[values])

    def by_content(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of all rows by their contents, and the contents in that order."""
        order = self.orders.get(("content", 0))
        if order is None:
            order = self.orders["content", 0] = np.argsort(self["content"], kind="stable")
        return order, self["content"][order]

    def among(self, ids: np.ndarray) -> np.ndarray:
        """Which rows are those of pictures `ids`."""
        found = np.zeros(len(self), np.bool_)
        places, there = self.places(ids)
        found[places[there]] = True
        return found

    def places(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the rows of pictures `ids` are, and which of them are there at all."""
        own = self["id"]
        places = np.searchsorted(own, ids)
        there = np.zeros(len(ids), np.bool_)
        inside = places < len(own)
        there[inside] = own[places[inside]] == ids[inside]
        return places, there


class Library:
    """Keeps the columns as the index is. Safe to use from any thread; every method raises IndexFileError."""

    def __init__(self, files: GalleryFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._programs, self._owners = Names(), Names()
        self._now: Columns | None = None

    def now(self) -> Columns:
        """The library as it is: read as a whole the first time, later only what changed since."""
        with self._lock:
            before, generation = self._now, self._files.generation
            changed = None if before is None else self._changed(before, generation)
            if before is not None and changed is not None and not len(changed):
                return before
            made = self._whole(generation) if before is None or changed is None else self._apart(before, changed)
            if self._files.generation == generation:
                self._now = made
            return made

    def ids(self, sql: str, values: Sequence[object] = ()) -> np.ndarray:
        """The first column of a query, as numbers."""
        rows = self._files.read(sql, values)
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def contents(self, sql: str, values: Sequence[object] = ()) -> np.ndarray:
        """The hashes of the digests that are the first column of a query."""
        rows = self._files.read(sql, values)
        return np.fromiter((hash(row[0]) for row in rows), np.int64, len(rows))

    def _changed(self, before: Columns, generation: str) -> np.ndarray | None:
        """The `seq` and the pictures of rows that changed; None where all has to be read."""
        if before.generation != generation:
            return None
        sql = "SELECT seq, picture FROM touched WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = self._files.read(sql, (before.seq, _MOST_APART + 1))
        found = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2)
        whole = len(found) > _MOST_APART or (len(found) and (found[0, 0] != before.seq + 1 or not found[:, 1].all()))
        return None if whole else found

    def _whole(self, generation: str) -> Columns:
        # Before the rows: what changes meanwhile is read once more.
        seq = int(self._files.read("SELECT coalesce(max(seq), 0) FROM touched")[0][0])
        self._programs, self._owners = Names(), Names()
        rows = self._read(f"{_SELECT} ORDER BY p.id")
        columns = {name: np.ascontiguousarray(rows[name]) for name in _ROW.names or ()}
        return self._made(generation, seq, columns, self._texts(None))

    def _apart(self, before: Columns, changed: np.ndarray) -> Columns:
        ids = np.unique(changed[:, 1])
        parts, unchanged = list[np.ndarray](), np.flatnonzero(~before.among(ids))
        for start in range(0, len(ids), MANY):
            part = [int(one) for one in ids[start : start + MANY]]
            parts.append(self._read(f"{_SELECT} WHERE p.id IN ({', '.join('?' * len(part))})", part))
        fresh = np.concatenate(parts)
        order = np.argsort(np.concatenate([before["id"][unchanged], fresh["id"]]), kind="stable")
        columns = {name: np.concatenate([before[name][unchanged], fresh[name]])[order] for name in before.columns}
        return self._made(before.generation, int(changed[-1, 0]), columns, self._texts(before.texts))

    def _made(self, generation: str, seq: int, columns: dict[str, np.ndarray], texts: PromptTexts) -> Columns:
        newest = np.lexsort((columns["id"], columns["created"]))[::-1]
        programs, owners = self._programs.numbers, self._owners.numbers
        return Columns(generation, seq, columns, newest, texts, programs, owners)

    def _read(self, sql: str, values: Sequence[object] = ()) -> np.ndarray:
        program, owner = self._programs.of, self._owners.of
        rows: list[Any] = [
            (*row[:-3], hash(row[-3]), program(row[-2]), owner(row[-1]))
            for row in map(tuple, self._files.read(sql, values))
        ]
        return np.array(rows, _ROW)

    def _texts(self, before: PromptTexts | None) -> PromptTexts:
        if before is not None and before.folded is None:
            return before
        newest = int(before.ids[-1]) if before is not None and len(before.ids) else 0
        if before is None:
            signs = int(self._files.read("SELECT coalesce(sum(length(text)), 0) FROM texts")[0][0])
            if signs > MOST_SIGNS:
                return PromptTexts(np.empty(0, np.int64), None)
        rows = self._files.read("SELECT id, coalesce(folded, text) FROM texts WHERE id > ? ORDER BY id", (newest,))
        ids, texts = np.array([row[0] for row in rows], np.int64), [str(row[1]) for row in rows]
        if before is None or before.folded is None:
            return PromptTexts(ids, texts)
        if not texts:
            return before
        return PromptTexts(np.concatenate([before.ids, ids]), [*before.folded, *texts])

    def texts_with(self, library: Columns, text: str) -> np.ndarray:
        """Rows of the texts that contain `text`, whatever its cases."""
        if len(text) >= 3:
            phrase = '"' + text.replace('"', '""').replace("\0", " ") + '"'
            rare = self.ids("SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", (phrase, RARE))
            if len(rare) < RARE:
                return rare
        small, texts = text.casefold(), library.texts
        if texts.folded is None:
            return self.ids("SELECT id FROM texts WHERE instr(coalesce(folded, text), ?)", (small,))
        return texts.ids[np.fromiter((small in one for one in texts.folded), np.bool_, len(texts.folded))]
