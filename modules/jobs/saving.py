"""Each picture exactly once: its row, then its file, then the row says so; what a crash left is settled at start."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from modules.jobs.job import Job, JobError, SavedImage
from modules.jobs.rows import ImageRow
from modules.jobs.store import JobStore
from modules.protocol import ImageReady

_log = logging.getLogger(__name__)


class Shelf(Protocol):
    """Where pictures go. `place` chooses a path that is free; `write` puts the whole file there or nothing."""

    def place(self, job: Job, image: ImageReady) -> Path: ...

    def write(self, path: Path, data: bytes, image: ImageReady) -> None: ...


class SavingError(JobError):
    """A picture could not be written. The message names the folder and what to do."""


class ImageSaver:
    """Saves what the engine delivers. Used by the one thread that hears the engine."""

    def __init__(self, store: JobStore, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf

    def save(self, job: Job, image: ImageReady) -> SavedImage | None:
        """Save a picture and its row; None when an earlier engine delivered it already. Raises SavingError."""
        row = self._store.image(job.id, image.index, image.kind)
        if row is not None and row.complete:
            return None
        path: Path | None = None
        try:
            path = self._path(job, image, row)
            row = _row_of(job, image, path)
            self._store.reserve_image(job.id, row)
            self._shelf.write(path, image.blobs[0], image)
            self._store.image_saved(job.id, image.index, image.kind)
        except (OSError, sqlite3.OperationalError) as error:
            with suppress(sqlite3.OperationalError):
                self._store.forget_image(job.id, image.index, image.kind)
            raise SavingError(_sentence(path, error)) from error
        return row.saved

    def _path(self, job: Job, image: ImageReady, reserved: ImageRow | None) -> Path:
        # A picture that is made again keeps the name its first making was promised, unless somebody else took it.
        promised = reserved.saved.path if reserved is not None else None
        if promised is not None and promised.suffix == f".{image.extension}" and not promised.exists():
            return promised
        return self._shelf.place(job, image)

    def settle(self) -> tuple[int, int]:
        """After a crash: reserved pictures whose file is whole are saved, the others stay promised to their job.

        Returns how many were whole and how many are to be made again.
        """
        whole = again = 0
        for row in self._store.reserved():
            if _digest_of(row.saved.path) == row.sha256:
                self._store.image_saved(row.job_id, row.saved.index, row.saved.kind)
                whole += 1
            else:
                again += 1
        if whole or again:
            _log.info("Pictures under way when the server ended: %d were whole, %d are made again.", whole, again)
        return whole, again


def _row_of(job: Job, image: ImageReady, path: Path) -> ImageRow:
    saved = SavedImage(
        index=image.index,
        kind=image.kind,
        path=path,
        infotext=image.infotext,
        seed=image.seed,
        subseed=image.subseed,
        width=image.width,
        height=image.height,
        kept=job.save and image.save,
    )
    return ImageRow(job.id, saved, hashlib.sha256(image.blobs[0]).hexdigest())


def _digest_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _sentence(path: Path | None, error: OSError | sqlite3.OperationalError) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if path is not None:
        where = str(path.parent)
    else:
        named = error.filename if isinstance(error, OSError) else None
        where = str(named or "the output folder")
    return f"The picture could not be saved in {where}: {reason}. Make room there or choose another folder."
