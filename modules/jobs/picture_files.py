"""Pictures of jobs on disk: saved ones through the gallery, those that are only to be returned in a cache folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from modules.files import SaveError, write_atomic
from modules.gallery import Gallery
from modules.jobs.job import Job
from modules.protocol import ImageReady

_log = logging.getLogger(__name__)


class PictureFiles:
    """`cache` holds the pictures of jobs that save none; they are deleted with their job's row.

    `on_saved` is called with the path of each saved picture and the login that it was made for. It must not wait.
    """

    def __init__(
        self,
        gallery: Gallery,
        cache: Path,
        *,
        keep_params: bool = True,
        on_saved: Callable[[Path, str | None], None] = lambda path, user: None,
    ) -> None:
        self._on_saved = on_saved
        self._gallery = gallery
        self._cache = cache
        self._keep_params = keep_params

    def place(self, job: Job, image: ImageReady, taken: Collection[Path]) -> Path:
        if not (job.save and image.save):
            return self._cache / job.id / f"{image.index}-{image.kind}.{image.extension}"
        if (extras := job.request.extras) is not None:
            return self._gallery.reserve_extras(extras, image.index, image.kind, extension=image.extension)
        return self._gallery.reserve(
            job.resolved,
            image.index,
            image.kind,
            extension=image.extension,
            size=(image.width, image.height),
            data=image.blobs[0],
            taken=taken,
        )

    def write(self, path: Path, job: Job, image: ImageReady) -> Path:
        if image.index == 0 and image.kind == "image" and job.request.mode != "extras":
            self._remember(image.infotext)
        if path.is_relative_to(self._cache):
            write_atomic(path, image.blobs[0], overwrite=True)
            return path
        saved = self._gallery.save(path, image.blobs[0], infotext=image.infotext, options=job.resolved.settings.files)
        self._on_saved(saved, job.user)
        return saved

    def release(self, path: Path) -> None:
        self._gallery.release(path)

    def _remember(self, infotext: str) -> None:
        if not self._keep_params:
            return
        try:
            self._gallery.write_params(infotext)
        except SaveError as error:
            _log.warning("%s", error)
