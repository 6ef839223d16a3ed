"""The rows of the queue: every change of a job is one transaction here, and nothing else writes them."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from modules.files.database import is_of_the_file
from modules.jobs.access import Viewer
from modules.jobs.database import connect, queue_file_error
from modules.jobs.job import ENDED, Job, JobState, SavedImage, Spent, Tally, UnknownJob
from modules.jobs.row_reader import MANY, RowReader, marks
from modules.jobs.rows import ImageRow, notices_of, values_of_image, values_of_job

ACTIVE: Final[tuple[JobState, ...]] = ("running", "waiting")
_PICTURES: Final = "FROM images JOIN jobs ON jobs.id = job_id WHERE images.state = 'saved' AND kind = 'image'"
# A job without a user is from a time without logins.
_OF_LOGIN: Final = "(user IS NULL OR user = ?)"


class JobStore:
    """The queue's tables in one SQLite file, prepared by `database.prepare`. Safe to use from any thread.

    Reads have a connection of their own: in WAL mode they never wait for a write that is being synced to disk.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._writer, self._writing = connect(path), threading.RLock()
        self._rows = RowReader(path)

    def close(self) -> None:
        with self._writing:
            self._rows.close()
            self._writer.close()

    # Reading

    def get(self, job_id: str) -> Job | None:
        found = self._rows.jobs("WHERE id = ?", (job_id,))
        return found[0] if found else None

    def of_task(self, task_id: str, of_user: Viewer | None = None) -> Job | None:
        """The latest job that carries a client's own task id; with `of_user`, of that login or of none."""
        where, values = _of_task(task_id, of_user)
        found = self._rows.jobs(f"WHERE {where} ORDER BY created DESC, rowid DESC LIMIT 1", values)
        return found[0] if found else None

    def of_batch(self, task_id: str) -> Sequence[Job]:
        """All jobs that carry a client's own task id, in the order they were accepted."""
        return self._rows.jobs("WHERE task_id = ? ORDER BY rowid", (task_id,))

    def tally(self, task_id: str, of_user: Viewer | None = None, named: int = 12) -> Tally:
        """How the jobs of a client's own task id stand; of the failed ones, at most `named` are listed with their file.

        With `of_user`, those of that login or of none. Without parsing a request: a page needs this of a large batch
        each second.
        """
        where, values = _of_task(task_id, of_user)
        states = self._rows.read(f"SELECT state, count(*) FROM jobs WHERE {where} GROUP BY state", values)
        failed = self._rows.read(
            f"SELECT json_extract(request, '$.batch.name'), cause FROM jobs WHERE {where} AND state = 'failed'"
            " ORDER BY rowid LIMIT ?",
            (*values, named),
        )
        notices = self._rows.read(f"SELECT DISTINCT notices FROM jobs WHERE {where} ORDER BY rowid", values)
        images = self._rows.read(f"SELECT count(*) {_PICTURES} AND {where}", values)
        return Tally(
            {row[0]: int(row[1]) for row in states},
            int(images[0][0]),
            tuple((str(row[0]), str(row[1])) for row in failed),
            tuple(dict.fromkeys(notice for row in notices for notice in json.loads(row[0]))),
        )

    def images_of_batch(self, task_id: str, limit: int, of_user: Viewer | None = None) -> Sequence[SavedImage]:
        """The pictures of the jobs that carry a client's own task id, in their order, at most `limit` (-1: all).

        With `of_user`, those of that login or of none.
        """
        where, values = _of_task(task_id, of_user)
        sql = f"SELECT images.* {_PICTURES} AND {where} ORDER BY jobs.rowid, number LIMIT ?"
        return [image.saved for image in self._rows.images(self._rows.read(sql, (*values, limit)))]

    def list(
        self,
        states: Iterable[JobState] | None = None,
        limit: int = 100,
        client: str | None = None,
        offset: int = 0,
        of_user: Viewer | None = None,
    ) -> Sequence[Job]:
        """Running and waiting jobs in the order they run, then the ended ones, latest first.

        With `client`, those of one browser; with `of_user`, those of one login and those that belong to none.
        """
        wanted_states = set(states) if states is not None else {*ACTIVE, *ENDED}
        found: list[Job] = []
        # Two questions instead of one sorted answer: each is read off an index, however many rows there are.
        for group, order in ((ACTIVE, "state, position, rowid"), (sorted(ENDED), "finished DESC, rowid DESC")):
            wanted = [state for state in group if state in wanted_states]
            if not wanted or len(found) >= limit:
                continue
            where, values = self._where(wanted, client, of_user)
            if offset:
                there = int(self._rows.read(f"SELECT count(*) FROM jobs WHERE {where}", values)[0][0])
                offset, left_out = max(0, offset - there), offset
                if left_out >= there:
                    continue
            else:
                left_out = 0
            rest = f"WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"
            found += self._rows.jobs(rest, (*values, limit - len(found), left_out))
        return found

    def ids(self, states: Iterable[JobState], limit: int, client: str, of_user: Viewer | None = None) -> Sequence[str]:
        """The ids of one client's jobs in the order of `list`, without reading requests and pictures."""
        wanted_states = set(states)
        found: list[str] = []
        for group, order in ((ACTIVE, "state, position, rowid"), (sorted(ENDED), "finished DESC, rowid DESC")):
            if wanted := [state for state in group if state in wanted_states]:
                where, values = self._where(wanted, client, of_user)
                sql = f"SELECT id FROM jobs WHERE {where} ORDER BY {order} LIMIT ?"
                found += [str(row["id"]) for row in self._rows.read(sql, (*values, max(0, limit - len(found))))]
        return found

    def _where(
        self, states: Sequence[JobState], client: str | None, of_user: Viewer | None
    ) -> tuple[str, tuple[object, ...]]:
        # What stands in a partial index's own words is read by it.
        where = f"state IN ({marks(states)}) AND finished IS {'NOT NULL' if states[0] in ENDED else 'NULL'}"
        values: tuple[object, ...] = tuple(states)
        if client is not None:
            where, values = f"{where} AND client = ?", (*values, client)
        if of_user is not None:
            where, values = f"{where} AND {_OF_LOGIN}", (*values, of_user.user)
        return where, values

    def position(self, job_id: str) -> int | None:
        """The place of a waiting job in the queue, 1 being the next to run; None when it does not wait."""
        sql = (
            "SELECT count(*) FROM jobs AS one JOIN jobs AS other ON other.state = 'waiting'"
            " AND (other.position < one.position OR (other.position = one.position AND other.rowid <= one.rowid))"
            " WHERE one.id = ? AND one.state = 'waiting'"
        )
        return int(self._rows.read(sql, (job_id,))[0][0]) or None

    def running(self) -> Job | None:
        found = self._rows.jobs("WHERE state = 'running'")
        return found[0] if found else None

    def count(self, state: JobState) -> int:
        return int(self._rows.read("SELECT count(*) FROM jobs WHERE state = ?", (state,))[0][0])

    def reserved(self) -> Sequence[ImageRow]:
        """Pictures whose row was written and whose file may or may not be there."""
        rows = self._rows.read("SELECT * FROM images WHERE state = 'reserved' ORDER BY rowid")
        return list(self._rows.images(rows))

    def image(self, job_id: str, number: int, kind: str) -> ImageRow | None:
        sql = "SELECT * FROM images WHERE job_id = ? AND number = ? AND kind = ?"
        rows = self._rows.read(sql, (job_id, number, kind))
        return next(self._rows.images(rows), None)

    def picture_paths(self, job_id: str) -> frozenset[Path]:
        """Where the pictures lie that a job has, or was promised."""
        return frozenset(Path(row[0]) for row in self._rows.read("SELECT path FROM images WHERE job_id = ?", (job_id,)))

    # A job's life

    def add(self, job: Job, inputs: Iterable[str] = ()) -> Job:
        """Write a new waiting job at the end of the queue."""
        with self._change() as write:
            last = write.execute("SELECT coalesce(max(position), 0) FROM jobs").fetchone()[0]
            values = values_of_job(job) | {"position": last + 1}
            write.execute(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks(values)})", tuple(values.values()))
            write.executemany(
                "INSERT INTO job_inputs (job_id, digest) VALUES (?, ?)", [(job.id, one) for one in sorted(set(inputs))]
            )
        return job

    def claim_next(self) -> Job | None:
        """Make the first waiting job the running one; None when there is none, or when one runs already.

        A row that can't be read is failed on the way: it must not stop those behind it.
        """
        while (job_id := self._claim()) is not None:
            job = self.get(job_id)
            if job is not None:
                return job
            self.fail_unreadable()
        return None

    def _claim(self) -> str | None:
        with self._change() as write:
            if write.execute("SELECT 1 FROM jobs WHERE state = 'running'").fetchone():
                return None
            row = write.execute(
                "SELECT id FROM jobs WHERE state = 'waiting' ORDER BY position, rowid LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            write.execute(
                "UPDATE jobs SET state = 'running', started = coalesce(started, ?) WHERE id = ?",
                (self._clock(), row["id"]),
            )
        return str(row["id"])

    def fail_unreadable(self) -> None:
        """Fail the running row if no job can be read from it."""
        for row in self._rows.read("SELECT id FROM jobs WHERE state = 'running'"):
            if self.get(row["id"]) is None:
                self._force_end(row["id"], "Its row in the job list can't be read.")

    def force_end(self, job: Job, cause: str) -> Job:
        """Fail a job without a look at its row, for when `end` itself can't cope with it. Returns `job`."""
        self._force_end(job.id, cause)
        return job

    def _force_end(self, job_id: str, cause: str) -> None:
        with self._change() as write:
            write.execute(
                "UPDATE jobs SET state = 'failed', cause = ?, finished = ? WHERE id = ? AND finished IS NULL",
                (cause, self._clock(), job_id),
            )

    def put_back(self, job_id: str, *, blame: Literal["engine", "server", "nobody"]) -> Job:
        """Make a running job the first waiting one again, and count whose death it was."""
        with self._change() as write:
            first = write.execute("SELECT coalesce(min(position), 1) FROM jobs WHERE state = 'waiting'").fetchone()[0]
            write.execute(
                "UPDATE jobs SET state = 'waiting', position = ?, attempts = attempts + ?, restarts = restarts + ?"
                " WHERE id = ? AND state = 'running'",
                (first - 1, blame == "engine", blame == "server", job_id),
            )
        return self._existing(job_id)

    def end(
        self,
        job_id: str,
        state: JobState,
        *,
        cause: str | None = None,
        notices: Iterable[str] = (),
        spent: Spent | None = None,
    ) -> Job:
        """End a waiting or running job. One that has ended already stays as it is. Reserved pictures are forgotten."""
        with self._change() as write:
            old = write.execute("SELECT notices FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if old is None:
                raise UnknownJob(job_id)
            all_notices = list(dict.fromkeys([*notices_of(old), *notices]))
            seconds, memory = (spent.seconds, spent.memory) if spent else (None, None)
            write.execute(
                "UPDATE jobs SET state = ?, cause = ?, notices = ?, finished = ?, seconds = ?, memory = ?"
                " WHERE id = ? AND state IN ('waiting', 'running')",
                (
                    *(state, cause, json.dumps(all_notices), self._clock(), seconds),
                    *(memory.model_dump_json() if memory else None, job_id),
                ),
            )
            write.execute("DELETE FROM images WHERE job_id = ? AND state = 'reserved'", (job_id,))
        return self._existing(job_id)

    def end_waiting(self, job_id: str, state: JobState) -> bool:
        """End a job only if it still waits; says whether it did."""
        with self._change() as write:
            done = write.execute(
                "UPDATE jobs SET state = ?, finished = ? WHERE id = ? AND state = 'waiting'",
                (state, self._clock(), job_id),
            )
            write.execute(
                "DELETE FROM images WHERE job_id = ? AND state = 'reserved'"
                " AND EXISTS (SELECT 1 FROM jobs WHERE id = job_id AND finished IS NOT NULL)",
                (job_id,),
            )
        return done.rowcount == 1

    def ask_to_stop(self, job_id: str) -> bool:
        """Remember that a running job was interrupted, so that no crash starts it again."""
        with self._change() as write:
            done = write.execute("UPDATE jobs SET stop_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))
        return done.rowcount == 1

    def stop_requested(self, job_id: str) -> bool:
        rows = self._rows.read("SELECT stop_requested FROM jobs WHERE id = ?", (job_id,))
        return bool(rows and rows[0][0])

    def restarts(self, job_id: str) -> int:
        """How many servers ended while they ran this job."""
        rows = self._rows.read("SELECT restarts FROM jobs WHERE id = ?", (job_id,))
        return int(rows[0][0]) if rows else 0

    def move(self, job_id: str, position: int) -> bool:
        """Put a waiting job at `position` among the waiting ones, 1 being the next to run; says whether it waited."""
        with self._change() as write:
            rows = write.execute(
                "SELECT id, position FROM jobs WHERE state = 'waiting' ORDER BY position, rowid"
            ).fetchall()
            order = [str(row["id"]) for row in rows]
            if job_id not in order:
                return False
            order.remove(job_id)
            order.insert(max(0, position - 1), job_id)
            places = [int(row["position"]) for row in rows]
            write.executemany("UPDATE jobs SET position = ? WHERE id = ?", list(zip(places, order, strict=True)))
        return True

    # Pictures

    def reserve_image(self, job_id: str, image: ImageRow) -> None:
        """Write a picture's row before its file. An earlier reservation of the same picture is replaced."""
        values = values_of_image(job_id, image) | {"state": "reserved"}
        with self._change() as write:
            write.execute(
                f"INSERT OR REPLACE INTO images ({', '.join(values)}) VALUES ({marks(values)})", tuple(values.values())
            )

    def image_saved(self, job_id: str, number: int, kind: str) -> None:
        with self._change() as write:
            write.execute(
                "UPDATE images SET state = 'saved' WHERE job_id = ? AND number = ? AND kind = ?", (job_id, number, kind)
            )

    def forget_image(self, job_id: str, number: int, kind: str) -> None:
        """Take back a reservation whose file could not be written."""
        with self._change() as write:
            write.execute(
                "DELETE FROM images WHERE job_id = ? AND number = ? AND kind = ? AND state = 'reserved'",
                (job_id, number, kind),
            )

    # Clearing away

    def delete_ended(self, keep: int) -> Sequence[Job]:
        """Delete all but the latest `keep` ended jobs and return the deleted ones, for their files to be dealt with."""
        ended = f"state IN ({marks(ENDED)})"
        old = self._rows.jobs(
            f"WHERE {ended} AND finished IS NOT NULL ORDER BY finished DESC, rowid DESC LIMIT -1 OFFSET ?",
            (*sorted(ENDED), keep),
        )
        with self._change() as write:
            for start in range(0, len(old), MANY):
                part = [job.id for job in old[start : start + MANY]]
                write.execute(f"DELETE FROM jobs WHERE id IN ({marks(part)})", part)
        return old

    def inputs_in_use(self) -> set[str]:
        return {str(row[0]) for row in self._rows.read("SELECT DISTINCT digest FROM job_inputs")}

    # Below

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on disk when this returns, or nothing. Raises QueueFileError."""
        with self._writing:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                if not is_of_the_file(error):
                    raise
                raise queue_file_error(self._path, error) from error
            finally:
                if self._writer.in_transaction:
                    self._roll_back()

    def _roll_back(self) -> None:
        # What can't be rolled back now is when the file is opened next: the log of a transaction without its end.
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")

    def _existing(self, job_id: str) -> Job:
        job = self.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        return job


def _of_task(task_id: str, of_user: Viewer | None) -> tuple[str, tuple[object, ...]]:
    if of_user is None:
        return "task_id = ?", (task_id,)
    return f"task_id = ? AND {_OF_LOGIN}", (task_id, of_user.user)
