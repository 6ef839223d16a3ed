"""One server per data folder: two would run the same jobs and reserve the same names."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class FolderUnusable(RuntimeError):
    """This data folder can't be used. The message is one sentence saying what to do."""


class AlreadyRunning(FolderUnusable):
    """Another server uses this data folder."""


class FolderLock:
    """Held until `release` or the end of the process, however that comes. Raises FolderUnusable or AlreadyRunning."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FolderUnusable(
                f"The data folder {path.parent} can't be written ({error.strerror}): check its owner, or name another "
                "one with --data-dir."
            ) from error
        try:
            _lock(self._handle)
        except OSError as error:
            os.close(self._handle)
            raise AlreadyRunning(
                f"Another server already uses {path.parent}: close it, or start this one with another --data-dir."
            ) from error

    def release(self) -> None:
        os.close(self._handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
