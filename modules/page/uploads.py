"""Pictures that the page works with, kept as the bytes that were brought, under the digest of their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.files import write_atomic
from modules.pictures import PictureError
from modules.pictures.opening import MOST_PIXELS, is_animated, picture_size

MOST_PICTURES: Final = 300
MOST_BYTES: Final = 4 * 2**30
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_GONE: Final = "The picture is not there any more: choose it again."
_ANIMATED: Final = "This picture is animated: its first frame is used."


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture among the uploads. `width` and `height` are those of the upright picture."""

    id: str
    width: int
    height: int
    notice: str = ""


class UploadStore:
    """A folder of pictures. The oldest go once there are too many; looking at one keeps it young."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes, what: str = "The picture", *, any_size: bool = False) -> Upload:
        """Keep a picture. Raises PictureError, by its header alone where it is too large, or SaveError.

        `any_size`: of the picture only texts are wanted, so that its number of pixels does not count.
        """
        width, height = picture_size(data, what, most_pixels=None if any_size else MOST_PIXELS)
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if path.is_file():
            os.utime(path)
        else:
            with contextlib.suppress(FileExistsError):
                write_atomic(path, data)
            self.prune()
        return Upload(digest, width, height, _ANIMATED if is_animated(data) else "")

    def path(self, digest: str) -> Path:
        """Where the picture lies. Raises PictureError when it is gone, or when `digest` is none."""
        path = self._path(digest) if _DIGEST.fullmatch(digest) else None
        if path is None or not path.is_file():
            raise PictureError(_GONE)
        return path

    def get(self, digest: str) -> bytes:
        """The bytes as they were brought. Raises PictureError when they are gone."""
        try:
            path = self.path(digest)
            os.utime(path)
            return path.read_bytes()
        except OSError as error:
            raise PictureError(_GONE) from error

    def prune(self) -> None:
        """Delete the pictures not used for longest, beyond the limits of number and size."""
        present = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                state = path.stat()
                present.append((state.st_mtime, state.st_size, path))
        room = MOST_BYTES
        for number, (_, size, path) in enumerate(sorted(present, reverse=True)):
            room -= size
            if number >= MOST_PICTURES or room < 0:
                path.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest
