"""Pictures found by what they show: vectors of a CLIP for pictures and for texts, made while nothing else is to do.

What makes them is a model, which the engine has: it is given to `open` as `Eyes`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from modules.gallery.index.errors import IndexFileError, MeaningError
from modules.gallery.index.library import Columns
from modules.gallery.index.records import IndexedPicture, Looker
from modules.gallery.index.search import EVERYBODY, Search
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.vectors import Vectors
from modules.gallery.index.writing import State

_log = logging.getLogger(__name__)
# Pictures that are looked at in one go: what was made for them is written, whatever happens next.
AT_ONCE: Final = 4
_LISTED: Final = 400
_DELETED_AT_ONCE: Final = 2_000
# Seconds: a start has other things to do, and so have the first minutes of whoever made it.
_AFTER_START: Final = 180.0
_WHILE_BUSY: Final = 15.0
_LOOK_SECONDS: Final = 60.0
# How many pictures a search by a text finds at most: there is no distance from which on nothing is meant any more.
MOST_FOUND: Final = 200
_TEXTS: Final = 200


class Eyes(Protocol):
    """Makes vectors: 32-bit floats of length 1, as bytes. Every method may wait, and be called from any thread."""

    def encoder(self) -> str:
        """What tells the encoder of pictures from every other one. Raises MeaningError where there is none."""
        ...

    def see(self, pictures: Sequence[Path]) -> Sequence[bytes] | None:
        """A vector for each picture, nothing for one that can't be opened; fewer where it was interrupted.

        None while something else is to do. Raises MeaningError.
        """
        ...

    def read(self, text: str) -> bytes:
        """The vector of a text. Raises MeaningError."""
        ...


class Blind:
    """No eyes yet."""

    def encoder(self) -> str:
        raise MeaningError("Searching by meaning is not ready yet: try again in a moment.")

    def see(self, pictures: Sequence[Path]) -> Sequence[bytes] | None:
        return None

    def read(self, text: str) -> bytes:
        raise MeaningError("Searching by meaning is not ready yet: try again in a moment.")


class Meaning:
    """Looks at pictures on a thread of its own, and searches by what was seen. Safe to use from any thread."""

    def __init__(self, files: GalleryFiles, search: Search) -> None:
        self._files, self._search = files, search
        self._vectors = Vectors(files)
        self._eyes: Eyes = Blind()
        self._pending: list[int] = []
        self._texts: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self._encoders: dict[tuple[str, str], int] = {}
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._last_request = float("-inf")
        self._thread = threading.Thread(target=self._run, name="gallery-meaning", daemon=True)

    def open(self, eyes: Eyes) -> None:
        """What sees, from now on."""
        self._eyes = eyes

    def start(self) -> None:
        """Begin to look at pictures, a few minutes from now or when somebody asks."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it has seen is written."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        self._wait(_AFTER_START)
        while not self._stopped:
            seconds = _LOOK_SECONDS
            try:
                seconds = self.more()
            except MeaningError:
                # Whoever searches hears why; here it is the same each minute.
                pass
            except IndexFileError as error:
                _log.warning("Pictures are not looked at for a minute. %s", error)
            self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _somebody_asks(self) -> None:
        """Begin soon, unless that was said just now."""
        now = time.monotonic()
        if now - self._last_request > 5:
            self._last_request = now
            self._wake.set()

    def more(self) -> float:
        """Look at a few pictures that nobody has looked at, newest first; in how many seconds to go on.

        Called by one thread.

        Raises MeaningError, IndexFileError.
        """
        encoder = self._encoder()
        if self._delete_others(encoder):
            return 0.0
        if not self._pending:
            rows = self._files.read(
                "SELECT p.id FROM pictures AS p LEFT JOIN meanings AS m ON m.picture = p.id WHERE p.state = ? AND"
                " m.picture IS NULL ORDER BY p.created DESC LIMIT ?",
                (State.THERE, _LISTED),
            )
            self._pending = [int(row["id"]) for row in rows]
        if not self._pending:
            return _LOOK_SECONDS
        part = self._pending[:AT_ONCE]
        seen = self._look(encoder, self._search.pictures(part))
        if seen is None:
            self._pending = []
            return _WHILE_BUSY
        del self._pending[:AT_ONCE]
        return 0.0 if seen else _WHILE_BUSY

    def _look(self, encoder: int, pictures: Sequence[IndexedPicture]) -> int | None:
        """How many of these were looked at; None while that is not possible."""
        vectors = self._eyes.see([picture.path for picture in pictures])
        if vectors is None:
            return None
        sql = (
            "INSERT OR REPLACE INTO meanings (picture, encoder, vector)"
            # A file that was exchanged meanwhile is looked at again.
            " SELECT id, ?, ? FROM pictures WHERE id = ? AND mtime_ns = ?"
        )
        with self._files.change() as write:
            for picture, vector in zip(pictures, vectors, strict=False):
                small = np.frombuffer(vector, np.float32).astype(np.float16).tobytes()
                write.execute(sql, (encoder, small, picture.row, picture.mtime_ns))
        return len(vectors)

    def _encoder(self) -> int:
        """The row of the encoder that there is now. Raises MeaningError."""
        identity = self._eyes.encoder()
        key = (self._files.generation, identity)
        with self._writing:
            if key not in self._encoders:
                with self._files.change() as write:
                    write.execute("INSERT OR IGNORE INTO encoders (identity) VALUES (?)", (identity,))
                row = self._files.read("SELECT id FROM encoders WHERE identity = ?", (identity,))[0]
                self._encoders[key] = int(row["id"])
            return self._encoders[key]

    def _delete_others(self, encoder: int) -> bool:
        """Delete vectors of other encoders, some at once; says whether there were any."""
        sql = "DELETE FROM meanings WHERE seq IN (SELECT seq FROM meanings WHERE encoder <> ? LIMIT ?)"
        with self._files.change() as write:
            gone = write.execute(sql, (encoder, _DELETED_AT_ONCE)).rowcount
        if gone:
            self._pending = []
        return gone > 0

    def to(
        self, picture: IndexedPicture, limit: int = 50, looker: Looker = EVERYBODY
    ) -> list[tuple[IndexedPicture, float]]:
        """The pictures whose meaning is nearest to this one's, with their distance: 1 less the cosine.

        Raises MeaningError where that is not known, IndexFileError.
        """
        encoder = self._encoder()
        self._somebody_asks()
        vector = self._vector_of(encoder, picture)
        found = self._search.found("", looker)
        places, cosines = self._vectors.nearest(encoder, vector, found.library, found.mask, limit + 1)
        rows = [int(row) for row in found.library["id"][places]]
        distances = {row: max(0.0, 1 - float(one)) for row, one in zip(rows, cosines, strict=True)}
        others = [row for row in rows if row != picture.row][:limit]
        return [(one, distances[one.row]) for one in self._search.pictures(others)]

    def _vector_of(self, encoder: int, picture: IndexedPicture) -> np.ndarray:
        sql = "SELECT vector FROM meanings WHERE picture = ? AND encoder = ?"
        rows = self._files.read(sql, (picture.row, encoder))
        if not rows:
            self._look(encoder, [picture])
            rows = self._files.read(sql, (picture.row, encoder))
        if not rows:
            raise MeaningError(
                f"{picture.name} has not been looked at yet, and the engine has something else to do: try again later."
            )
        if not rows[0]["vector"]:
            raise MeaningError(f"{picture.name} can't be opened, so what it shows is not known.")
        return np.frombuffer(rows[0]["vector"], np.float16).astype(np.float32)

    def nearest(
        self, texts: Sequence[str], library: Columns, mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, str | None]:
        """The places of the pictures in `mask` that show most what the texts say together, with their cosines.

        Beside them a sentence on those that nobody has looked at yet. Raises MeaningError, IndexFileError.
        """
        identity = self._eyes.encoder()
        encoder = self._encoder()
        self._somebody_asks()
        vector = np.sum([self._read(identity, text) for text in texts], axis=0)
        vector /= max(float(np.linalg.norm(vector)), 1e-12)
        places, cosines = self._vectors.nearest(encoder, vector, library, mask, MOST_FOUND)
        missing = int(np.count_nonzero(mask)) - self._vectors.known(encoder, len(vector), library, mask)
        return places, cosines, _unseen(missing)

    def _read(self, identity: str, text: str) -> np.ndarray:
        known = self._texts.get((identity, text))
        if known is None:
            known = np.frombuffer(self._eyes.read(text), np.float32)
            self._texts[identity, text] = known
            while len(self._texts) > _TEXTS:
                self._texts.popitem(last=False)
        return known


def _unseen(count: int) -> str | None:
    if count <= 0:
        return None
    return "1 picture has not been looked at yet." if count == 1 else f"{count} pictures have not been looked at yet."
