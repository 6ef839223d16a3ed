"""Opening SQLite files: durable, migrated to the present version, and set aside when they can't be read."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

BUSY_SECONDS: Final = 5.0
FileTrouble = Literal["full", "locked", "read-only", "corrupt", "other"]

_NUMBERED: Final = re.compile(r"(\d{4})_\w+\.sql")
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
_log = logging.getLogger(__name__)


class DatabaseError(RuntimeError):
    """A file of rows can't be opened at all. The message is one sentence naming the file."""


class _Unusable(Exception):
    """The file is no database of ours; the message says why, to follow a colon."""


def connect(path: Path, *, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> sqlite3.Connection:
    """A connection in autocommit mode, to be shared behind a lock, in WAL mode.

    FULL, not WAL's usual NORMAL: every commit is on disk when it returns, and survives a power cut, not only a crash.
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def trouble_of(error: sqlite3.Error) -> FileTrouble:
    """What SQLite complains of, by the primary result code, of which its extended ones are kinds."""
    return _TROUBLES.get(int(getattr(error, "sqlite_errorcode", 0)) & 0xFF, "other")


def is_of_the_file(error: sqlite3.Error) -> bool:
    """Whether the file or its disk is to blame, not a statement of ours."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def trouble_sentence(what: str, trouble: FileTrouble, reason: object) -> str:
    """What is wrong with `what` ("The job list PATH") and what to do about it."""
    match trouble:
        case "full":
            return f"{what} can't be written: {reason}. Make room on its disk and try again."
        case "locked":
            return f"{what} can't be used: {reason}. Close the program that has it open, and try again."
        case "read-only":
            return f"{what} can't be written: {reason}. Let this program write the file and its folder."
        case "corrupt":
            return f"{what} is damaged: {reason}. Restart the server, which begins a new one."
        case "other":
            return f"{what} can't be used: {reason}. Check its disk and restart the server."


def prepare_database(path: Path, migrations: Path, what: str, *, check: bool = True) -> tuple[str, ...]:
    """Make the file at `path` a database of the present version and return what a person should know about it.

    `what` begins the sentences: "The job list". A file of an older version is copied to `*.v<version>` and migrated;
    one that is damaged or from a newer version is renamed to `*.corrupt-<time>` and an empty one begun. Without `check`
    only what opening shows counts as damage: a large file is read as a whole elsewhere. Raises DatabaseError when the
    folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _bring_up_to_date(path, migrations, check)
        except _Unusable as reason:
            aside = set_aside(path)
            _bring_up_to_date(path, migrations, check)
            notice = (
                f"{what} {path.name} could not be used ({reason}): it was set aside as {aside.name} and an empty one"
                " begun."
            )
            _log.warning(notice)
            return (notice,)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseError(f"{what} {path} can't be opened: {error}. Check that the folder can be written.") from error
    return ()


def _bring_up_to_date(path: Path, migrations: Path, check: bool) -> None:
    scripts = _scripts(migrations)
    newest = max(scripts)
    existed = path.exists() and path.stat().st_size > 0
    try:
        with closing(connect(path)) as connection:
            if check:
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


def set_aside(path: Path) -> Path:
    """Rename a database, its log with it, to `*.corrupt-<time>`; returns the new path. Raises OSError."""
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
