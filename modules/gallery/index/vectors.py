"""The vectors of pictures in memory, and which of them lie nearest to one.

Each number takes one byte here, so that a hundred thousand vectors of 768 take 77 MB and are compared in some thirty
milliseconds; those that come out nearest are compared once more by the 16 bits that the index has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from modules.gallery.index.library import Columns
from modules.gallery.index.store import MANY, GalleryFiles

# Beyond this the pictures that came last are compared, and the others not.
MOST_BYTES: Final = 512 * 2**20
_LEVELS: Final = 127
# Rows that a block compares: its 32-bit floats stay in the processor's cache.
_BLOCK: Final = 256
_READ_AT_ONCE: Final = 2_000
# So many times what is wanted are compared exactly.
_AGAIN: Final = 4


class Vectors:
    """Of one encoder at a time. Safe to use from any thread; every method raises IndexFileError."""

    def __init__(self, files: GalleryFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._of: tuple[str, int] = ("", 0)
        self._seq = self._count = 0
        self._ids, self._scales, self._codes = _empty(0, 0)

    def nearest(
        self, encoder: int, vector: np.ndarray, library: Columns, mask: np.ndarray, limit: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `limit` rows of the library nearest to `vector` of those in `mask`, as places, with their cosines."""
        with self._lock:
            self._read_on(encoder, len(vector))
            ids = self._ids[: self._count]
            scores = self._scores(vector)
        places, there = library.places(ids)
        there[there] = mask[places[there]]
        places, scores = places[there], scores[there]
        if len(scores) > _AGAIN * limit:
            best = np.argpartition(-scores, _AGAIN * limit)[: _AGAIN * limit]
            places = places[best]
        return self._exact(encoder, vector, library, places, limit)

    def known(self, encoder: int, width: int, library: Columns, mask: np.ndarray) -> int:
        """How many rows of the library in `mask` have a vector here."""
        with self._lock:
            self._read_on(encoder, width)
            places, there = library.places(self._ids[: self._count])
        return int(np.count_nonzero(mask[places[there]]))

    def _exact(
        self, encoder: int, vector: np.ndarray, library: Columns, places: np.ndarray, limit: int
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = [int(row) for row in library["id"][places]]
        exact = dict(self._stored(encoder, rows))
        places = places[[row in exact for row in rows]]
        scores = np.array([exact[row] @ vector for row in rows if row in exact], np.float64)
        order = np.argsort(-scores, kind="stable")[:limit]
        return places[order], scores[order]

    def _stored(self, encoder: int, rows: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(rows), MANY):
            part = rows[start : start + MANY]
            marks = ", ".join("?" * len(part))
            sql = f"SELECT picture, vector FROM meanings WHERE picture IN ({marks}) AND encoder = ?"
            for row in self._files.read(sql, (*part, encoder)):
                yield int(row["picture"]), np.frombuffer(row["vector"], np.float16).astype(np.float32)

    def _scores(self, vector: np.ndarray) -> np.ndarray:
        """Cosines, good to about a hundredth."""
        count = self._count
        scores, block = np.empty(count, np.float32), np.empty((_BLOCK, len(vector)), np.float32)
        for start in range(0, count, _BLOCK):
            part = self._codes[start : min(start + _BLOCK, count)]
            floats = block[: len(part)]
            np.copyto(floats, part)
            np.dot(floats, vector, out=scores[start : start + len(part)])
        scores *= self._scales[:count]
        return scores

    def _read_on(self, encoder: int, width: int) -> None:
        """Take in what was written since."""
        of = (self._files.generation, encoder)
        if self._of != of or self._codes.shape[1] != width:
            self._of, self._seq, self._count = of, 0, 0
            self._ids, self._scales, self._codes = _empty(0, width)
        while True:
            rows = self._files.read(
                "SELECT seq, picture, vector FROM meanings WHERE encoder = ? AND seq > ? ORDER BY seq LIMIT ?",
                (encoder, self._seq, _READ_AT_ONCE),
            )
            if not rows:
                return
            self._seq = int(rows[-1]["seq"])
            whole = [row for row in rows if len(row["vector"]) == 2 * width]
            if whole:
                ids = np.array([row["picture"] for row in whole], np.int64)
                vectors = np.frombuffer(b"".join(row["vector"] for row in whole), np.float16).reshape(-1, width)
                self._append(ids, vectors.astype(np.float32))

    def _append(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        # A picture that was looked at again counts as it is now: no row has the id 0.
        before = self._ids[: self._count]
        before[np.isin(before, ids)] = 0
        self._make_room(len(ids), vectors.shape[1])
        largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
        here = slice(self._count, self._count + len(ids))
        self._ids[here] = ids
        self._scales[here] = largest[:, 0] / _LEVELS
        self._codes[here] = np.rint(vectors * (_LEVELS / largest)).astype(np.int8)
        self._count += len(ids)

    def _make_room(self, more: int, width: int) -> None:
        if self._count + more <= len(self._ids):
            return
        most = MOST_BYTES // max(width, 1)
        staying = np.flatnonzero(self._ids[: self._count])
        if len(staying) + more > most:
            # A tenth at once: each time copies all that stay.
            staying = np.sort(staying[np.argsort(self._ids[staying])[-max(1, int(most * 0.9) - more) :]])
        ids, scales, codes = _empty(min(max(most, len(staying) + more), (len(staying) + more) * 5 // 4), width)
        for old, new in ((self._ids, ids), (self._scales, scales), (self._codes, codes)):
            new[: len(staying)] = old[staying]
        self._ids, self._scales, self._codes, self._count = ids, scales, codes, len(staying)


def _empty(rows: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(rows, np.int64), np.zeros(rows, np.float32), np.zeros((rows, width), np.int8)
