"""Similar pictures and duplicates without a model, by how they look; see `appearance`."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from modules.gallery.index.appearance import FIELDS, Appearance, appearance_of
from modules.gallery.index.reading_process import FileReader
from modules.gallery.index.records import IndexedPicture, Looker
from modules.gallery.index.search import EVERYBODY, Search
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.writing import State

_AT_ONCE: Final = 8
_LISTED: Final = 400
_LOOK_SECONDS: Final = 60.0
# A start has other things to do, and so have the first minutes of whoever made it.
_AFTER_START: Final = 180.0
_COLOUR_WEIGHT: Final = 64.0
# Of mean differences of colours between 0 and 1: below this nobody sees a difference.
_SAME_COLOURS: Final = 0.02
_MOST_GROUPS: Final = 500


class Similar:
    """Searches by looks. Safe to use from any thread; every method raises IndexFileError."""

    def __init__(self, files: GalleryFiles, search: Search) -> None:
        self._files, self._search = files, search
        self._reader = FileReader()
        self._pending: list[int] = []
        self._one_at_a_time = threading.Lock()
        self._next_look = time.monotonic() + _AFTER_START

    def stop(self) -> None:
        """End the process that looks. `more` raises ReadersStopped from then on."""
        self._reader.stop()

    def close(self) -> None:
        """Forget the process, once nobody calls `more` any more."""
        self._reader.close()

    def more(self, *, now: bool = False) -> bool:
        """Look at a few pictures that nobody has looked at yet, newest first; says whether there are others.

        Called in idle time; a second thread waits for the first. `now` begins at once where it would wait a while.
        """
        with self._one_at_a_time:
            return self._more(now=now)

    def _more(self, *, now: bool) -> bool:
        if not self._pending and (now or time.monotonic() > self._next_look):
            rows = self._files.read(
                "SELECT p.id FROM pictures AS p LEFT JOIN looks AS l ON l.picture = p.id WHERE p.state = ? AND"
                " l.picture IS NULL ORDER BY p.created DESC LIMIT ?",
                (State.THERE, _LISTED),
            )
            self._pending = [int(row["id"]) for row in rows]
            self._next_look = time.monotonic() + _LOOK_SECONDS if len(rows) < _LISTED else 0.0
        if not self._pending:
            self._reader.close()
            return False
        part, self._pending = self._pending[:_AT_ONCE], self._pending[_AT_ONCE:]
        pictures = self._search.pictures(part)
        looks = self._reader.appearances([picture.path for picture in pictures])
        self._write(list(zip(pictures, looks, strict=True)))
        return True

    def _write(self, looks: Sequence[tuple[IndexedPicture, Appearance | None]]) -> None:
        """What can't be decoded has a row without colours, so that nobody looks again."""
        sql = "INSERT OR REPLACE INTO looks (picture, shapes, colours) SELECT id, ?, ? FROM pictures WHERE id = ?"
        with self._files.change() as write:
            for picture, look in looks:
                values = (0, b"") if look is None else (look.shapes, bytes.fromhex(look.colours))
                write.execute(sql, (*values, picture.row))

    def to(
        self, picture: IndexedPicture, limit: int = 50, looker: Looker = EVERYBODY
    ) -> list[tuple[IndexedPicture, float]]:
        """The pictures that look most like this one, with their distance: 0 the same, about 30 nothing in common."""
        look = appearance_of(picture.path)
        self._write([(picture, look)])
        if look is None:
            return []
        rows, shapes, colours = self._looks(looker)
        distances = _bits(shapes ^ np.int64(look.shapes)) + _COLOUR_WEIGHT * _colour_distance(
            colours, bytes.fromhex(look.colours)
        )
        nearest = np.argsort(distances, kind="stable")[: limit + 1]
        found = {int(rows[place]): float(distances[place]) for place in nearest if int(rows[place]) != picture.row}
        return [(one, found[one.row]) for one in self._search.pictures(list(found)[:limit])]

    def duplicates(self, looker: Looker = EVERYBODY) -> list[list[IndexedPicture]]:
        """Groups of pictures that look the same, the largest first; copies of one file among them."""
        rows, shapes, colours = self._looks(looker)
        groups: dict[int, list[int]] = {}
        order = np.argsort(shapes, kind="stable")
        for place in order:
            groups.setdefault(int(shapes[place]), []).append(int(place))
        found = [part for group in groups.values() if len(group) > 1 for part in _alike(group, colours)]
        copies = self._copies(looker)
        known = {int(rows[place]) for part in found for place in part}
        every = [[int(rows[place]) for place in part] for part in found]
        every += [copy for copy in copies if not known.issuperset(copy)]
        every.sort(key=len, reverse=True)
        return [self._search.pictures(group) for group in every[:_MOST_GROUPS]]

    def _copies(self, looker: Looker) -> list[list[int]]:
        own, values = _of(looker)
        rows = self._files.read(
            "SELECT group_concat(p.id) FROM pictures AS p WHERE p.state = 0 AND p.content <> x''"
            f"{own} GROUP BY p.content HAVING count(*) > 1",
            values,
        )
        return [[int(one) for one in str(row[0]).split(",")] for row in rows]

    def _looks(self, looker: Looker) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own, values = _of(looker)
        rows = self._files.read(
            f"SELECT l.picture, l.shapes, l.colours FROM looks AS l JOIN pictures AS p ON p.id = l.picture"
            f" WHERE p.state = 0 AND l.colours <> x''{own}",
            values,
        )
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        shapes = np.array([row[1] for row in rows], dtype=np.int64)
        colours = np.frombuffer(b"".join(bytes(row[2]) for row in rows), dtype=np.uint8)
        return ids, shapes, colours.reshape(len(rows), -1) if rows else colours.reshape(0, 3 * FIELDS**2)


def _of(looker: Looker) -> tuple[str, tuple[object, ...]]:
    return (" AND (p.owner IS NULL OR p.owner = ?)", (looker.login,)) if looker.own_only else ("", ())


def _bits(values: np.ndarray) -> np.ndarray:
    """How many bits are set in each of the 64-bit `values`."""
    bits = np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1)
    return np.asarray(bits.sum(axis=1), dtype=np.float64)


def _colour_distance(colours: np.ndarray, other: bytes) -> np.ndarray:
    wanted = np.frombuffer(other, dtype=np.uint8).astype(np.int16)
    return np.asarray(np.abs(colours.astype(np.int16) - wanted).mean(axis=1) / 255)


def _alike(group: Sequence[int], colours: np.ndarray) -> list[list[int]]:
    """Parts of a group of equal shapes whose colours are the same too."""
    parts: list[list[int]] = []
    for place in group:
        home = next((part for part in parts if _same(colours, part[0], place)), None)
        if home is None:
            parts.append([place])
        else:
            home.append(place)
    return [part for part in parts if len(part) > 1]


def _same(colours: np.ndarray, one: int, other: int) -> bool:
    return float(_colour_distance(colours[[one]], colours[other].tobytes())[0]) < _SAME_COLOURS
