"""Reading the queue's rows: a row that can't be understood is left out, so that it hides no other."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from modules.files.database import is_of_the_file
from modules.jobs.database import connect, queue_file_error
from modules.jobs.job import Job
from modules.jobs.rows import ImageRow, RequestCache, image_of_row, job_of_row

_log = logging.getLogger(__name__)

MANY: Final = 500  # Bound parameters per statement; SQLite's oldest limit is 999.


class RowReader:
    """A connection that only reads. In WAL mode it never waits for a write that is being synced to disk.

    Safe to use from any thread. Every method raises QueueFileError when the file can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection, self._lock = connect(path), threading.Lock()
        self._requests = RequestCache()
        self._reported: set[str] = set()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def read(self, sql: str, values: Iterable[object] = ()) -> Sequence[sqlite3.Row]:
        with self._lock:
            try:
                return self._connection.execute(sql, tuple(values)).fetchall()
            except sqlite3.Error as error:
                if not is_of_the_file(error):
                    raise
                raise queue_file_error(self._path, error) from error

    def jobs(self, rest: str, values: Iterable[object] = ()) -> Sequence[Job]:
        """The jobs that `rest`, an SQL condition with its order, selects; each with its saved pictures."""
        rows = self.read(f"SELECT * FROM jobs {rest}", values)
        images: dict[str, list[ImageRow]] = {str(row["id"]): [] for row in rows}
        ids = list(images)
        for start in range(0, len(ids), MANY):
            part = ids[start : start + MANY]
            sql = f"SELECT * FROM images WHERE state = 'saved' AND job_id IN ({marks(part)}) ORDER BY number, rowid"
            for image in self.images(self.read(sql, part)):
                images[image.job_id].append(image)
        return [job for row in rows if (job := self._job(row, images[str(row["id"])])) is not None]

    def images(self, rows: Iterable[sqlite3.Row]) -> Iterator[ImageRow]:
        """The pictures of these rows."""
        for row in rows:
            try:
                yield image_of_row(row)
            except (ValueError, TypeError) as error:
                self._report(f"picture {row['number']} of job {row['job_id']}", error)

    def _job(self, row: sqlite3.Row, images: Iterable[ImageRow]) -> Job | None:
        try:
            return job_of_row(row, [image.saved for image in images], self._requests)
        except (ValueError, TypeError) as error:
            self._report(f"job {row['id']}", error)
            return None

    def _report(self, what: str, error: Exception) -> None:
        # Lists are read each second: one line in the log is enough.
        if what not in self._reported:
            self._reported.add(what)
            _log.warning("The row of %s can't be read and is left out: %s", what, error)


def marks(values: Iterable[object]) -> str:
    """A question mark for each of the values that a statement binds."""
    return ", ".join("?" for _ in values)
