"""The trash: a file goes there by one rename, with a note of where it came from, and comes back by a second name.

Each trashed file has a name of its own in the trash folder of its file system, `TOKEN.png`, and beside it `TOKEN.json`,
which is written first and removed last: whatever dies in between, the file is in one of its two places, or on its way
back in both, and the note says so. Two servers may share the folders.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.files import SaveError, is_text, move_to_own_name, move_unless_taken, save_error, write_text_atomic
from modules.gallery.index.errors import GalleryError
from modules.gallery.index.roots import TRASH, Roots, trash_folder

_TRIES: Final = 1000
_MOVING_SECONDS: Final = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trashed:
    """A file in the trash: where it lies, where it came from, and when, in seconds since 1970."""

    path: Path
    home: Path
    when: float
    size: int

    @property
    def note(self) -> Path:
        return self.path.with_suffix(".json")


class Trash:
    """The trash folders below the roots. Safe to use from any thread."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        # A move back is two names for a moment, and a note without its file is one for a moment too. Whoever looks then
        # must not take it for what a kill left behind.
        self._moving = threading.Lock()

    def put(self, file: Path) -> Path:
        """Move a file into the trash; returns where it is then. Raises GalleryError with a sentence."""
        root = self._roots.root_of(file)
        if root is None or not self._roots.holds(file):
            raise GalleryError(f"{file.name} lies in none of the gallery's folders any more.")
        if not is_text(str(file)):
            raise GalleryError(f"{file.name!r} can't go to the trash: its name is no text. Rename it.")
        try:
            folder = trash_folder(file, root)
            target = folder / f"{secrets.token_hex(8)}{file.suffix}"
            note = target.with_suffix(".json")
            with self._moving:
                write_text_atomic(note, json.dumps({"home": file.relative_to(root).as_posix(), "when": time.time()}))
                try:
                    move_to_own_name(file, target)
                except BaseException:
                    if not target.exists():
                        note.unlink(missing_ok=True)
                    raise
        except FileNotFoundError as error:
            raise GalleryError(f"{file.name} is gone already: somebody moved or deleted it.") from error
        except OSError as error:
            raise _refused(file, error) from error
        except SaveError as error:
            raise GalleryError(f"{file.name} stays where it is. {error}") from error
        return target

    def restore(self, trashed: Path, home: Path) -> Path:
        """Move a file back to `home`, or beside what has taken its name; returns where it is. Raises GalleryError."""
        root = self._roots.root_of(trashed)
        if root is None or self._roots.root_of(home) is None or not self._roots.holds(home.parent):
            raise GalleryError(f"{home.name} can't go back: its folder is none of the gallery's any more.")
        try:
            for number in range(_TRIES):
                target = home.with_stem(f"{home.stem}-{number}") if number else home
                with self._moving, contextlib.suppress(FileExistsError):
                    move_unless_taken(trashed, target)
                    trashed.with_suffix(".json").unlink(missing_ok=True)
                    return target
        except FileNotFoundError as error:
            raise GalleryError(
                f"{home.name} is not in the trash any more: it was emptied, or the file was brought back."
            ) from error
        except OSError as error:
            raise _refused(home, error) from error
        except SaveError as error:
            raise GalleryError(f"{home.name} stays in the trash. {error}") from error
        raise GalleryError(f"{home.parent} has no free name left for {home.name}.")

    def remove(self, trashed: Path) -> None:
        """Delete a file in the trash for good. Raises GalleryError."""
        if trashed.parent.name != TRASH or self._roots.root_of(trashed) is None:
            raise GalleryError(f"{trashed.name} is not in the trash.")
        try:
            with self._moving:
                trashed.unlink(missing_ok=True)
                trashed.with_suffix(".json").unlink(missing_ok=True)
        except OSError as error:
            raise _refused(trashed, error) from error

    def contents(self, folder: Path) -> Iterator[Trashed]:
        """What lies in one trash folder. What a killed process left half done there is brought to its end first."""
        root = self._roots.root_of(folder)
        if root is None:
            return
        try:
            there = list(folder.iterdir())
        except OSError:
            return
        files = {path.stem: path for path in there if _is_file(path)}
        # A file without a note is somebody else's doing, and in the trash all the same.
        for stem in sorted({*files, *(path.stem for path in there if path.suffix == ".json")}):
            with self._moving:
                # What lay there before may have come or gone since.
                file = files.get(stem) or next((one for one in folder.glob(f"{stem}.*") if _is_file(one)), None)
                trashed = self._settled(folder / f"{stem}.json", file, root)
            if trashed is not None:
                yield trashed

    def _settled(self, note: Path, file: Path | None, root: Path) -> Trashed | None:
        try:
            said = json.loads(note.read_text("utf-8"))
            home, when = root / str(said["home"]), float(said["when"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("The note %s of a file in the trash can't be read: %s", note, error)
            home, when = root / (file or note).name, time.time()
        if ".." in home.parts or self._roots.root_of(home) is None:
            home = root / home.name
        with contextlib.suppress(OSError):
            if file is None:
                # It never left, or it is back; or another server is about to move it.
                if when < time.time() - _MOVING_SECONDS:
                    note.unlink(missing_ok=True)
                return None
            if home.exists() and home.samefile(file):
                # On its way back, of which this is the first half; a move into the trash has none. Whoever brings it
                # back may live, in another server, and take this name away next: the other one has to stay.
                file.unlink()
                note.unlink(missing_ok=True)
                return None
            return Trashed(file, home, when, file.stat().st_size)
        return None


def _is_file(path: Path) -> bool:
    """Whether it is no note and no half of one."""
    return path.suffix not in (".json", ".tmp")


def _refused(file: Path, error: OSError) -> GalleryError:
    reason = str(save_error(file, error)).partition(" was not saved")[2].lstrip(": ")
    return GalleryError(f"{file.name} could not be moved: {reason or error.strerror}")
