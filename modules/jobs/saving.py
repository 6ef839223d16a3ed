"""Each picture exactly once: its row, then its file, then the row says so; what a crash left is settled at start."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from modules.files import SaveError, remove_stale_temporaries
from modules.jobs.job import Job, JobError, QueueFileError, SavedImage
from modules.jobs.rows import ImageRow
from modules.jobs.store import JobStore
from modules.protocol import ImageReady

_log = logging.getLogger(__name__)


class PictureStore(Protocol):
    """Where pictures go."""

    def place(self, job: Job, image: ImageReady, taken: Collection[Path]) -> Path:
        """A path that is free for this picture. Creates nothing. Raises SaveError.

        `taken` are the pictures that the job has already: no setting may let one of them be replaced.
        """

    def write(self, path: Path, job: Job, image: ImageReady) -> Path:
        """Put the whole file at `path` or nothing; returns where it went if the name was taken. Raises SaveError."""

    def release(self, path: Path) -> None:
        """No picture will come for this path."""


class SavingError(JobError):
    """A picture could not be saved. The message is one sentence naming the folder."""


class ImageSaver:
    """Saves what the engine delivers. Used by the one thread that reads the engine's messages."""

    def __init__(self, store: JobStore, picture_store: PictureStore) -> None:
        self._store = store
        self._picture_store = picture_store

    def save(self, job: Job, image: ImageReady) -> SavedImage | None:
        """Save a picture and its row; None when an earlier engine delivered it already. Raises SavingError."""
        row = self._store.image(job.id, image.index, image.kind)
        if row is not None and row.complete:
            return None
        try:
            path = self._path(job, image, row)
            return self._save_at(path, job, image)
        except (SaveError, OSError) as error:
            self._forget(job, image)
            raise SavingError(str(error)) from error
        except QueueFileError as error:
            self._picture_store.release(path)
            self._forget(job, image)
            raise SavingError(f"{path.name} was not saved. {error}") from error

    def _save_at(self, path: Path, job: Job, image: ImageReady) -> SavedImage:
        row = _row_of(job, image, path)
        self._store.reserve_image(job.id, row)
        where = self._picture_store.write(path, job, image)
        if where != path:
            row = replace(row, saved=replace(row.saved, path=where))
            self._store.reserve_image(job.id, row)
        self._store.image_saved(job.id, image.index, image.kind)
        return row.saved

    def _path(self, job: Job, image: ImageReady, reserved: ImageRow | None) -> Path:
        # A picture that is made again keeps the name its first making was promised, unless somebody else took it.
        promised = reserved.saved.path if reserved is not None else None
        if promised is not None and promised.suffix == f".{image.extension}" and not promised.exists():
            return promised
        return self._picture_store.place(job, image, self._store.picture_paths(job.id))

    def _forget(self, job: Job, image: ImageReady) -> None:
        with suppress(QueueFileError):
            self._store.forget_image(job.id, image.index, image.kind)

    def settle(self) -> tuple[int, int]:
        """After a crash: reserved pictures whose file is whole are saved, the others stay promised to their job.

        Returns how many were whole and how many are to be made again.
        """
        whole = again = 0
        for row in self._store.reserved():
            # No other server can be writing: the data folder is locked to this one.
            remove_stale_temporaries(row.saved.path.parent, older_than=0)
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
        cached=not (job.save and image.save),
    )
    return ImageRow(job.id, saved, hashlib.sha256(image.blobs[0]).hexdigest())


def _digest_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def remove_cached(path: Path) -> None:
    """Delete a picture that was only to be returned, and its job's folder once it is empty."""
    with suppress(OSError):
        path.unlink()
    with suppress(OSError):
        path.parent.rmdir()
