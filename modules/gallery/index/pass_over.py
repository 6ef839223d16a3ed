"""One pass over the folders: what is new is read, what moved is followed, what is gone is forgotten."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modules.gallery.index.listing import Listing, listing
from modules.gallery.index.reading_process import FileReader
from modules.gallery.index.roots import Roots
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.trash import Trash
from modules.gallery.index.writing import Entry, FileFacts, IndexWriter, State, shown_name

BATCH: Final = 128
# A folder that changed this shortly ago may change again within one tick of its file system's clock.
_SETTLED_SECONDS: Final = 2.0


class PassStopped(Exception):
    """The pass was stopped; the next one goes on where it was."""


@dataclass(slots=True)
class PassProgress:
    """How many files this pass has to read, and how many it has read."""

    total: int = 0
    done: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """A row as it was written before."""

    row: int
    file: FileFacts
    state: State


@dataclass(slots=True)
class FolderPass:
    """Walks the roots once. `between` is called between batches, and may raise PassStopped.

    A light pass looks at the modification times of known folders and lists only those that changed; files that were
    edited in their place are noticed by a full one.
    """

    files: GalleryFiles
    writer: IndexWriter
    reader: FileReader
    roots: Roots
    trash: Trash
    between: Callable[[], None]
    progress: PassProgress = field(default_factory=PassProgress)
    _waiting: list[tuple[int, Path, FileFacts]] = field(default_factory=list)
    _listed: list[tuple[int, int, int]] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _visited: set[Path] = field(default_factory=set)
    _unreadable: list[Path] = field(default_factory=list)

    def run(self, *, full: bool) -> None:
        """Raises PassStopped, ReadersStopped, IndexFileError."""
        for folder, found in self._folders(full):
            self._compare(folder, found)
            if len(self._waiting) >= BATCH:
                self._flush()
        self._flush()
        if full:
            self._forget_absent_folders()
        self._forget_gone()

    def _folders(self, full: bool) -> Iterator[tuple[Path, Listing]]:
        if full:
            yield from self._walk(list(self.roots.folders))
            return
        known = {Path(os.fsdecode(row["path"])): row for row in self.files.read("SELECT * FROM folders")}
        for folder, row in known.items():
            self.between()
            try:
                if folder.stat().st_mtime_ns == row["mtime_ns"]:
                    continue
            except FileNotFoundError:
                self._folder_gone(folder, int(row["id"]))
                continue
            except OSError:
                continue
            if self.roots.root_of(folder) is not None:
                yield from self._walk([folder], known.keys())
        yield from self._walk([root for root in self.roots.folders if root not in known])

    def _walk(self, folders: list[Path], known: Collection[Path] = ()) -> Iterator[tuple[Path, Listing]]:
        """These folders and all below them; of those in `known` only the first ones."""
        left = list(reversed(folders))
        while left:
            folder = left.pop()
            self.between()
            try:
                found = listing(folder)
            except OSError:
                # Gone, or a network folder that is away: which of them is seen by its parent's list.
                self._unreadable.append(folder)
                continue
            if (found.device, found.inode) in self._seen and found.inode:
                continue
            self._seen.add((found.device, found.inode))
            self._visited.add(folder)
            yield folder, found
            left += [below for below in reversed(found.folders) if below not in known]

    def _compare(self, folder: Path, found: Listing) -> None:
        """What the folder lists beside what the index knows of it."""
        row = self.writer.folder(folder, self.roots.shown(folder), found.device)
        known = self._known(row)
        if known and found.empty and self._is_away(row, found):
            return
        back: list[int] = []
        # Those that had another name in this folder before are not gone with it.
        moved: set[int] = set()
        for file in found.files:
            before = known.pop(shown_name(file.name), None)
            if before is None:
                if (here := self._moved_here(row, file)) is not None:
                    moved.add(here)
                else:
                    self._waiting.append((row, folder / file.name, file))
                    self.progress.total += 1
            elif (before.file.mtime_ns, before.file.size) != (file.mtime_ns, file.size):
                self._waiting.append((row, folder / file.name, file))
                self.progress.total += 1
            elif before.state == State.PERHAPS_GONE:
                back.append(before.row)
            if len(self._waiting) >= BATCH:
                self._flush()
        gone = [one.row for one in known.values() if one.state != State.PERHAPS_GONE and one.row not in moved]
        if back or gone:
            self.writer.set_state(back, State.THERE)
            self.writer.set_state(gone, State.PERHAPS_GONE)
        if found.trash is not None:
            self._compare_trash(found.trash)
        settled = found.mtime_ns / 1e9 < time.time() - _SETTLED_SECONDS
        self._listed.append((row, found.mtime_ns if settled else 0, found.device))

    def _known(self, folder: int) -> dict[str, _Known]:
        sql = "SELECT id, name, mtime_ns, bytes, inode, state FROM pictures WHERE folder = ? AND trash = ''"
        return {
            str(row["name"]): _Known(
                int(row["id"]),
                FileFacts(str(row["name"]), int(row["mtime_ns"]), int(row["bytes"]), str(row["inode"])),
                State(row["state"]),
            )
            for row in self.files.read(sql, (folder,))
        }

    def _is_away(self, row: int, found: Listing) -> bool:
        """Whether what was mounted here is not: the folder is empty and on another device than it was."""
        before = int(self.files.read("SELECT device FROM folders WHERE id = ?", (row,))[0][0])
        return before not in (0, found.device)

    def _moved_here(self, folder: int, file: FileFacts) -> int | None:
        """The row of a new file, where there is one that names another place, where it is no more."""
        if not file.inode:
            return None
        rows = self.files.read(
            "SELECT p.id, p.name, p.raw, p.trash, f.path FROM pictures AS p JOIN folders AS f ON f.id = p.folder"
            " WHERE p.inode = ? AND p.bytes = ? AND p.mtime_ns = ? AND p.state <> ?",
            (file.inode, file.size, file.mtime_ns, State.UNREADABLE),
        )
        for row in rows:
            name = str(row["name"]) if row["raw"] is None else os.fsdecode(row["raw"])
            old = row["trash"] or Path(os.fsdecode(row["path"])) / name
            if not os.path.lexists(old):
                self.writer.move(int(row["id"]), folder, file)
                return int(row["id"])
        return None

    def _flush(self) -> None:
        """Read what waits, and write it; only then are its folders noted as read."""
        while self._waiting:
            self.between()
            part, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            read = self.reader.read([path for _, path, _ in part])
            self.writer.put([Entry(row, file, one) for (row, _, file), one in zip(part, read, strict=True)])
            self.progress.done += len(part)
        for row, mtime_ns, device in self._listed:
            self.writer.folder_read(row, mtime_ns, device)
        self._listed.clear()

    def _compare_trash(self, folder: Path) -> None:
        known = {str(row["trash"]) for row in self.files.read("SELECT trash FROM pictures WHERE trash <> ''")}
        for trashed in self.trash.contents(folder):
            if str(trashed.path) in known:
                continue
            with suppress(OSError):
                file = FileFacts.of(trashed.home.name, trashed.path.stat())
                home = self.writer.folder(trashed.home.parent, self.roots.shown(trashed.home.parent))
                (one,) = self.reader.read([trashed.path])
                self.writer.put([Entry(home, file, one, str(trashed.path), trashed.when)])

    def _folder_gone(self, folder: Path, row: int) -> None:
        root = self.roots.root_of(folder)
        if root is not None and not root.is_dir():
            return
        rows = self.files.read("SELECT id FROM pictures WHERE folder = ? AND trash = '' AND state <> 1", (row,))
        self.writer.set_state([int(one["id"]) for one in rows], State.PERHAPS_GONE)

    def _forget_absent_folders(self) -> None:
        """Rows of folders that the walk did not come by, unless they may be away for a while."""
        for row in self.files.read("SELECT id, path FROM folders"):
            folder = Path(os.fsdecode(row["path"]))
            away = any(folder.is_relative_to(other) and _is_away(other) for other in self._unreadable)
            if folder not in self._visited and not away:
                self._folder_gone(folder, int(row["id"]))
        rows = self.files.read("SELECT id, trash FROM pictures WHERE trash <> ''")
        emptied = [
            row for row in rows if not os.path.lexists(row["trash"]) and not self._may_be_away(Path(row["trash"]))
        ]
        self.writer.remove(int(row["id"]) for row in emptied)

    def _forget_gone(self) -> None:
        rows = self.files.read("SELECT id FROM pictures WHERE state = ?", (State.PERHAPS_GONE,))
        if rows:
            self.writer.remove(int(row["id"]) for row in rows)
        self.writer.forget_folders(lambda folder: folder.is_dir() or self._may_be_away(folder))

    def _may_be_away(self, folder: Path) -> bool:
        root = self.roots.root_of(folder)
        return root is not None and not root.is_dir()


def _is_away(folder: Path) -> bool:
    """Whether a folder that can't be listed is not simply deleted."""
    try:
        folder.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
