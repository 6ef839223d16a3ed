"""The queue's SQLite file: where its migrations lie, and its errors as ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from modules.files import database
from modules.files.database import DatabaseError, connect, trouble_of
from modules.jobs.job import QueueFileError

MIGRATIONS: Final = Path(__file__).with_name("migrations")

__all__ = ["MIGRATIONS", "DatabaseError", "connect", "prepare", "queue_file_error"]


def queue_file_error(path: Path, error: sqlite3.Error) -> QueueFileError:
    """What SQLite complains of, as one of ours."""
    return QueueFileError(path, trouble_of(error), error)


def prepare(path: Path, migrations: Path = MIGRATIONS) -> tuple[str, ...]:
    """Make the file at `path` a queue of the present version; see `modules.files.database.prepare_database`."""
    return database.prepare_database(path, migrations, "The job list")
