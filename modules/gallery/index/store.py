"""The two files of the gallery: the index, which can be made again, and the marks beside it, which can't."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from modules.files.database import connect, is_of_the_file, prepare_database, set_aside, trouble_of
from modules.gallery.index.errors import IndexFileError

INDEX: Final = "The index of pictures"
MARKS: Final = "The file of ratings and tags"
MANY: Final = 500  # Bound parameters per statement; SQLite's oldest limit is 999.

_HERE: Final = Path(__file__).parent
_INDEX_MIGRATIONS: Final = _HERE / "index_migrations"
_MARKS_MIGRATIONS: Final = _HERE / "marks_migrations"
# Searches of several people, and a writer of marks, at the same time.
_READERS: Final = 4
_PATIENCE: Final = 30.0


class GalleryFiles:
    """Connections to the index, with the marks attached as `marks`. Safe to use from any thread.

    Reads never wait for a write. Every method raises IndexFileError where a file can't be read or written. `notices`
    are sentences about files that were set aside; `on_damage` is called when the index is found damaged. Raises
    DatabaseError where a file can't be opened at all.
    """

    def __init__(self, index: Path, marks: Path) -> None:
        self.index, self._marks = index, marks
        self.notices = [*prepare_database(marks, _MARKS_MIGRATIONS, MARKS), *self._prepare_index()]
        self.on_damage: Callable[[str], None] = lambda reason: None
        self._writing = threading.RLock()
        self._marking = threading.Lock()
        self._marker = connect(marks)
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._opened = 0
        try:
            self._open()
        except sqlite3.Error as error:
            if trouble_of(error) != "corrupt":
                raise
            self.begin_anew(str(error))

    def _prepare_index(self) -> tuple[str, ...]:
        # Read as a whole by `check`, in idle time.
        return prepare_database(self.index, _INDEX_MIGRATIONS, INDEX, check=False)

    def _open(self) -> None:
        # A cache: what a power cut takes is read again.
        self._writer = self._connected()
        self.generation = str(self._writer.execute("SELECT value FROM about WHERE name = 'generation'").fetchone()[0])
        for _ in range(_READERS):
            self._readers.put(self._connected())
            self._opened += 1

    def _connected(self) -> sqlite3.Connection:
        connection = connect(self.index, synchronous="NORMAL")
        connection.execute("PRAGMA cache_size = -8000")
        # The system's own cache, which the readers share.
        connection.execute("PRAGMA mmap_size = 536870912")
        # What a row takes the place of is deleted, and its triggers say so.
        connection.execute("PRAGMA recursive_triggers = ON")
        connection.create_function("fold", 1, _fold, deterministic=True)
        connection.execute("ATTACH DATABASE ? AS marks", (str(self._marks),))
        return connection

    def _close(self) -> None:
        while self._opened:
            self._readers.get().close()
            self._opened -= 1
        self._writer.close()

    def close(self) -> None:
        """Wait for what reads and writes now, and close both files."""
        with self._writing, self._marking:
            self._close()
            self._marker.close()

    def read(self, sql: str, values: Iterable[object] = ()) -> Sequence[sqlite3.Row]:
        """All rows of a query on the index and the marks."""
        try:
            connection = self._readers.get(timeout=_PATIENCE)
        except queue.Empty:
            raise IndexFileError(INDEX, self.index, "other", "it is not open") from None
        try:
            return connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from error
        finally:
            self._readers.put(connection)

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the index: all of it, or nothing."""
        with self._writing, self._transaction(self._writer, INDEX, self.index) as write:
            yield write

    @contextmanager
    def change_marks(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the marks: on disk when it returns."""
        with self._marking, self._transaction(self._marker, MARKS, self._marks) as write:
            yield write

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection, what: str, path: Path) -> Iterator[sqlite3.Connection]:
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._error(error, what, path) from error
        finally:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")

    def _error(self, error: sqlite3.Error, what: str = INDEX, path: Path | None = None) -> BaseException:
        if not is_of_the_file(error):
            return error
        trouble = trouble_of(error)
        if trouble == "corrupt" and what == INDEX:
            self.on_damage(str(error))
        return IndexFileError(what, path or self.index, trouble, error)

    def check(self) -> str | None:
        """What is wrong with the index's file, read as a whole; None where it is sound."""
        try:
            verdict = str(self.read("PRAGMA main.quick_check(1)")[0][0])
        except IndexFileError as error:
            return str(error)
        return None if verdict == "ok" else verdict.splitlines()[0]

    def begin_anew(self, reason: str) -> None:
        """Set the index's file aside, if it is there still, and begin an empty one. Raises OSError, sqlite3.Error."""
        with self._writing:
            self._close()
            try:
                if self.index.exists():
                    aside = set_aside(self.index)
                    self.notices.append(
                        f"{INDEX} was damaged ({reason}): it was set aside as {aside.name}, and is made anew."
                    )
                self._prepare_index()
            finally:
                self._open()

    def id_of(self, row: int) -> str:
        """The id that clients get for a row of the index."""
        return f"{self.generation}-{row}"

    def row_of(self, picture_id: str) -> int | None:
        """The row behind a client's id; None for ids of an earlier index and for what is no id."""
        generation, _, number = picture_id.partition("-")
        sound = generation == self.generation and number.isascii() and number.isdecimal() and len(number) < 18
        return int(number) if sound else None


def _fold(text: object) -> str:
    return str(text).casefold()
