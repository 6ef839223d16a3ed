"""Opening the queue's SQLite file: durable, migrated to the present version, and set aside when it can't be read."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from modules.jobs.job import FileTrouble, QueueFileError

MIGRATIONS: Final = Path(__file__).with_name("migrations")
BUSY_SECONDS: Final = 5.0

_NUMBERED: Final = re.compile(r"(\d{4})_\w+\.sql")
_log = logging.getLogger(__name__)


_TROUBLES: Final[dict[int, FileTrouble]] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_PERM: "read-only",
    sqlite3.SQLITE_CANTOPEN: "read-only",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
}


class DatabaseError(RuntimeError):
    """The queue's file can't be opened at all. The message is one sentence naming the file."""


class _Unusable(Exception):
    """The file is no database of ours; the message says why, to follow a colon."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, to be shared behind a lock: WAL, every commit on disk when it returns."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL, not WAL's usual NORMAL: an accepted job must survive a power cut, not only a crash.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def queue_file_error(path: Path, error: sqlite3.Error) -> QueueFileError:
    """What SQLite complains of, as one of ours: by the primary result code, of which its extended ones are kinds."""
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    return QueueFileError(path, _TROUBLES.get(code, "other"), error)


def prepare(path: Path, migrations: Path = MIGRATIONS) -> tuple[str, ...]:
    """Make the file at `path` a database of the present version and return what a person should know about it.

    A file of an older version is copied to `*.v<version>` and migrated; one that is damaged or from a newer version is
    renamed to `*.corrupt-<time>` and an empty one begun. Raises DatabaseError when the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _bring_up_to_date(path, migrations)
        except _Unusable as reason:
            aside = _set_aside(path)
            _bring_up_to_date(path, migrations)
            notice = (
                f"The job list {path.name} could not be used ({reason}):"
                f" it was set aside as {aside.name} and an empty one begun."
            )
            _log.warning(notice)
            return (notice,)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseError(
            f"The job list {path} can't be opened: {error}. Check that the folder can be written."
        ) from error
    return ()


def _bring_up_to_date(path: Path, migrations: Path) -> None:
    scripts = _scripts(migrations)
    newest = max(scripts)
    existed = path.exists() and path.stat().st_size > 0
    try:
        with closing(connect(path)) as connection:
            _check(connection)
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > newest:
                raise _Unusable(f"it was written by a newer version, {version} where this one knows {newest}")
            if existed and 0 < version < newest:
                _back_up(connection, path.with_name(f"{path.name}.v{version}"))
            for number in range(version + 1, newest + 1):
                _migrate(connection, number, scripts[number])
    except sqlite3.OperationalError:
        raise  # The disk or the folder, not the file's content: setting the file aside would help nobody.
    except sqlite3.DatabaseError as error:
        raise _Unusable(str(error)) from error


def _scripts(migrations: Path) -> dict[int, str]:
    found = {}
    for file in sorted(migrations.iterdir()):
        if match := _NUMBERED.fullmatch(file.name):
            found[int(match[1])] = file.read_text("utf-8")
    return found


def _check(connection: sqlite3.Connection) -> None:
    verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if verdict != "ok":
        raise _Unusable(verdict.splitlines()[0])


def _migrate(connection: sqlite3.Connection, number: int, script: str) -> None:
    # One transaction with its version number, so that a kill in between leaves the old version whole.
    connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def _back_up(connection: sqlite3.Connection, copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as target:
        connection.backup(target)


def _set_aside(path: Path) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + suffix))
    return aside
