"""Writing a file so that whoever looks finds all of it or nothing, whatever dies in between."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

_TEMPORARY: Final = re.compile(r"\.saving-[0-9a-f]{16}\.tmp")
_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class SaveError(RuntimeError):
    """A file that could not be saved. The message is one sentence for the person at the page."""


def save_error(path: Path, error: OSError) -> SaveError:
    """What went wrong while writing `path`, where, and what to do about it."""
    folder = path.parent
    match error.errno:
        case code if code in _FULL:
            return SaveError(f"{path.name} was not saved: the disk of {folder} is full; free some space and try again.")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return SaveError(f"{path.name} was not saved: this program may not write in {folder}; check its owner.")
        case errno.EEXIST:
            return SaveError(f"{path.name} was not saved: a file of that name is already in {folder}.")
        case errno.ENOTDIR | errno.ENOENT | errno.EISDIR:
            return SaveError(f"{path.name} was not saved: {folder} is not a folder that can be used; check its path.")
        case errno.ENAMETOOLONG:
            return SaveError(f"{path.name[:60]}... was not saved: the name is too long; choose a shorter name pattern.")
    return SaveError(f"{path.name} was not saved in {folder}: {error.strerror or error}.")


def write_atomic(path: Path, data: bytes, *, overwrite: bool = False, mode: int = 0o666) -> None:
    """Write `data` to `path`, creating its folder: temporary file beside it, fsync, rename, fsync of the folder.

    When this returns, the file survives a power cut; when it does not, `path` is as it was and nothing else stays.
    `mode` are the permissions of a new file, less what the umask takes away.
    Raises FileExistsError if `path` exists and `overwrite` is not given, SaveError for everything else.
    """
    write_atomic_with(path, lambda file: file.write(data), overwrite=overwrite, mode=mode)


def write_text_atomic(path: Path, text: str) -> None:
    """Replace a file that people edit: through a link to where it lies, its mode unchanged. Raises SaveError."""
    write_atomic(path.resolve(), text.encode("utf-8"), overwrite=True)


def temporary_of(folder: Path, token: str) -> Path:
    """The temporary file that a writer with this token (16 hexadecimal digits) fills in `folder`."""
    return folder / f".saving-{token}.tmp"


def write_atomic_with(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    overwrite: bool = False,
    token: str | None = None,
    mode: int = 0o666,
) -> None:
    """As `write_atomic`, with `write` filling the file: for what is too large to hold in memory.

    With a `token` the temporary file is that of `temporary_of`, for whoever is to remove it after a crash.
    """
    temporary = temporary_of(path.parent, token or secrets.token_hex(8))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_synced(temporary, write, mode)
            if overwrite:
                _copy_mode(path, temporary)
                temporary.replace(path)
            else:
                _move_unless_taken(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        # The folder's path may also run through a file; only a taken name is the caller's to solve.
        if overwrite or not path.parent.is_dir():
            raise save_error(path, NotADirectoryError(errno.ENOTDIR, "Not a directory")) from None
        raise
    except OSError as error:
        raise save_error(path, error) from error


def _write_synced(path: Path, write: Callable[[BinaryIO], object], mode: int) -> None:
    # Not mkstemp: its files can be read by their owner only, and pictures are to be as the user's umask says.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _copy_mode(old: Path, new: Path) -> None:
    # A config.json that only its owner may read stays so.
    if os.name != "nt" and old.exists():
        new.chmod(old.stat().st_mode & 0o777)


def _move_unless_taken(old: Path, new: Path) -> None:
    if os.name == "nt":
        old.rename(new)  # refuses to replace there
        return
    try:
        new.hardlink_to(old)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # exFAT and some network shares have no links: between this look and the rename, another program could create
        # the file; within this program the gallery's reservations exclude it.
        if new.exists():
            raise FileExistsError(errno.EEXIST, "File exists", str(new)) from None
        old.replace(new)
        return
    old.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot sync a folder; the file itself is already on disk.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def remove_stale_temporaries(folder: Path, *, older_than: float = 600.0, now: float | None = None) -> int:
    """Delete what a killed process left half-written under `folder`; returns how many files.

    Only names that `write_atomic` makes, and only older than `older_than` seconds: another server may be writing.
    """
    limit = (time.time() if now is None else now) - older_than
    removed = 0
    for place, _, names in os.walk(folder):
        for name in filter(_TEMPORARY.fullmatch, names):
            candidate = Path(place, name)
            with contextlib.suppress(OSError):
                if candidate.stat().st_mtime < limit:
                    candidate.unlink()
                    removed += 1
    return removed


def move_unless_taken(old: Path, new: Path) -> None:
    """Move a file to a name that is free, on the same file system or another. Its modification time goes with it.

    One of the two names is the whole file at every moment. Raises FileExistsError where `new` is taken, OSError and
    SaveError.
    """
    _moved(old, new, _move_unless_taken)


def move_to_own_name(old: Path, new: Path) -> None:
    """Move a file to a name that nobody else can mean, a random one: of several who move it, one does.

    On one file system there is no moment in which it has two names. Raises OSError and SaveError.
    """
    _moved(old, new, Path.rename)


def _moved(old: Path, new: Path, move: Callable[[Path, Path], object]) -> None:
    """Move a file by `move`; to another file system by a copy."""
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        move(old, new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_unless_taken(old, new)
        old.unlink()
    _sync_folder(new.parent)
    _sync_folder(old.parent)


def copy_unless_taken(old: Path, new: Path) -> None:
    """Copy a file to a name that is free, with its modification time. Raises FileExistsError, OSError, SaveError."""
    with old.open("rb") as source:
        write_atomic_with(new, lambda file: shutil.copyfileobj(source, file))
    with contextlib.suppress(OSError):
        status = old.stat()
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
