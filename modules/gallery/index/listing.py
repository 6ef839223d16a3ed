"""What lies in one folder: picture files, folders below, and the trash. Links are not followed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from modules.gallery.index.reading import SUFFIXES
from modules.gallery.index.roots import TRASH
from modules.gallery.index.writing import FileFacts


@dataclass(slots=True)
class Listing:
    """The content of a folder as it was when its modification time was `mtime_ns`."""

    mtime_ns: int
    device: int
    inode: int
    files: list[FileFacts] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    trash: Path | None = None
    empty: bool = True


def listing(folder: Path) -> Listing:
    """Read a folder. Raises OSError.

    What a link points to is found where it lies, if it lies in a root, and else it is not this server's to show.
    """
    here = folder.stat()
    found = Listing(here.st_mtime_ns, here.st_dev, here.st_ino)
    with os.scandir(folder) as entries:
        for entry in entries:
            found.empty = False
            if entry.name == TRASH:
                found.trash = folder / TRASH
            elif entry.name.startswith(".") or entry.is_symlink():
                continue
            elif entry.is_dir(follow_symlinks=False):
                found.folders.append(folder / entry.name)
            elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file(follow_symlinks=False):
                _add(found, entry)
    return found


def _add(found: Listing, entry: os.DirEntry[str]) -> None:
    try:
        found.files.append(FileFacts.of(entry.name, entry.stat(follow_symlinks=False)))
    except OSError:
        # Deleted since the folder was listed.
        return
