"""Walking model folders: every file with a suffix, once, through links but never in circles."""

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DIGITS: Final = re.compile(r"(\d+)")
_Pieces = tuple[tuple[int, str], ...]
NaturalKey = tuple[tuple[_Pieces, ...], _Pieces, str]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileState:
    """Size and modification time: while both are unchanged, so is what was found out about the file."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below a model folder; `name` is its path from there, with "/" on every system.

    `created` is when it came into being, in seconds since 1970: where the system doesn't record that, when its entry
    in the folder was changed last.
    """

    path: Path
    name: str
    state: FileState
    created: float = 0.0


def walk_folders(
    folders: Iterable[Path],
    suffixes: Iterable[str],
    *,
    hidden: bool = True,
    visited: dict[Path, int] | None = None,
) -> list[FoundFile]:
    """Files in the order of the folders, inside each as `natural_key` sorts their names.

    Two folders may hold the same relative name; the first one counts. Folders whose name begins with a dot are left out
    unless `hidden`, and so is what has a name that is no text. Absent folders are empty, unreadable ones are logged.
    `visited` gets every folder that was read, with its modification time, which changes when a file comes into it or
    goes.
    """
    visited = {} if visited is None else visited
    wanted = tuple(suffix.lower() for suffix in suffixes)
    found: dict[str, FoundFile] = {}
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        files = _walk(folder.absolute(), "", seen, hidden, visited)
        below = [file for file in files if file.name.lower().endswith(wanted)]
        for file in sorted(below, key=lambda file: natural_key(file.name)):
            found.setdefault(file.name, file)
    return list(found.values())


def natural_key(name: str) -> NaturalKey:
    """Sorts paths as A1111 walks folders: a folder's files before those of the folders in it, `a2` before `a10`."""
    *folders, base = name.split("/")
    return tuple(map(_pieces, folders)), _pieces(base), name


def _pieces(part: str) -> _Pieces:
    return tuple(
        (int(piece), "") if piece.isdecimal() else (1 << 62, piece) for piece in _DIGITS.split(part.lower()) if piece
    )


def found_file(path: Path) -> FoundFile | None:
    """A file that was named by itself (`--ckpt`), or None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _found(path.absolute(), path.name, status)


def _found(path: Path, name: str, status: os.stat_result) -> FoundFile:
    created = getattr(status, "st_birthtime", status.st_ctime)
    return FoundFile(path, name, FileState(status.st_size, status.st_mtime_ns), created)


def _walk(
    folder: Path, above: str, seen: set[tuple[int, int]], hidden: bool, visited: dict[Path, int]
) -> Iterator[FoundFile]:
    # `above` is the folder's path from the top: putting names behind it is ten times as fast as taking paths apart.
    try:
        here = folder.stat()
        if (here.st_dev, here.st_ino) in seen:
            return
        seen.add((here.st_dev, here.st_ino))
        visited[folder] = here.st_mtime_ns
        with os.scandir(folder) as listing:
            entries = list(listing)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("The folder %s can't be read: %s.", folder, error.strerror or error)
        return
    for entry in entries:
        if not is_text(entry.name):
            log.warning("%r in %s is left out: its name is no text. Rename it.", entry.name, folder)
            continue
        path = Path(entry.path)
        try:
            if entry.is_dir():
                if hidden or not entry.name.startswith("."):
                    yield from _walk(path, f"{above}{entry.name}/", seen, hidden, visited)
                continue
            status = path.stat()  # follows links; a scandir entry on Windows would not know the size behind one
        except OSError:
            continue  # a link to nothing, or a file that vanished while we looked
        yield _found(path, above + entry.name, status)


def is_text(name: str) -> bool:
    """Whether a page or an API can be sent this name.

    It can't where a file name's bytes are of another encoding than the system's, or a file writes half of a character.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
