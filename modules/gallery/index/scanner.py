"""The thread that makes the index equal to the folders: at once for what this program saves, else by passes."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.gallery.index.errors import IndexFileError
from modules.gallery.index.marks import Marks
from modules.gallery.index.pass_over import FolderPass, PassProgress, PassStopped
from modules.gallery.index.reading import content_digest, read_picture
from modules.gallery.index.reading_process import FileReader, ReadersStopped
from modules.gallery.index.records import Indexing
from modules.gallery.index.roots import Roots
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.trash import Trash
from modules.gallery.index.writing import Entry, FileFacts, IndexWriter

LIGHT_SECONDS: Final = 30.0
FULL_SECONDS: Final = 3600.0
# Somebody who looks sees what came since, but folders are not walked with each key that they press.
_LOOK_SECONDS: Final = 3.0
# A pass over a slow network folder takes a small part of the time.
_PAUSE: Final = 20.0
_AFTER_TROUBLE: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Saved:
    path: Path
    owner: str | None


class Scanner:
    """Safe to use from any thread.

    `prepare` is called once, before anything else. What is in `idle` is called between passes, and says whether it has
    more to do.
    """

    def __init__(
        self,
        files: GalleryFiles,
        writer: IndexWriter,
        roots: Roots,
        trash: Trash,
        idle: Sequence[Callable[[], bool]],
        prepare: Callable[[], object],
    ) -> None:
        self._files, self._writer, self._roots, self._trash = files, writer, roots, trash
        self._marks = Marks(files)
        self._idle, self._prepare = idle, prepare
        self._reader = FileReader()
        self._saved: queue.SimpleQueue[_Saved] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._settled = threading.Condition()
        self._turns = 0
        self._stopped = False
        self._damaged: str | None = None
        self._look = False
        self._full = True
        self._progress: PassProgress | None = None
        self._skipped = 0
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="gallery-index", daemon=True)
        files.on_damage = self._found_damage

    def start(self) -> None:
        """Begin the first pass, which is a full one."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, whatever it does now; what it has read is written."""
        self._stopped = True
        self._wake.set()
        self._reader.stop()
        if self._thread.is_alive():
            self._thread.join(10)
        self._reader.close()

    def saved(self, path: Path, owner: str | None) -> None:
        """A picture was saved, by this login. Returns at once."""
        self._saved.put(_Saved(path, owner))
        self._wake.set()

    def look(self, *, full: bool = False) -> None:
        """Somebody looks at the gallery: see soon whether the folders changed."""
        self._look = True
        self._full = self._full or full
        self._wake.set()

    def indexing(self) -> Indexing:
        """How far the pass is that runs now. From memory."""
        now = self._progress
        if now is None:
            return Indexing(skipped=self._skipped, problem=self._problem)
        return Indexing(now.total > now.done, now.done, now.total, self._skipped, self._problem)

    def wait_until_settled(self, timeout: float) -> bool:
        """Wait for the end of a full pass that begins now; says whether it came in time."""
        with self._settled:
            wanted = self._turns + 2 if self._progress is not None else self._turns + 1
            self.look(full=True)
            return self._settled.wait_for(lambda: self._turns >= wanted, timeout)

    def _found_damage(self, reason: str) -> None:
        self._damaged = reason
        self._wake.set()

    def _run(self) -> None:
        last_light = last_full = float("-inf")
        pause = LIGHT_SECONDS
        with suppress(IndexFileError):
            self._prepare()
        self._damaged = self._damaged or self._files.check()
        while not self._stopped:
            try:
                if self._damaged or not self._files.index.exists():
                    self._begin_anew()
                self._take_saved()
                now = time.monotonic()
                full = self._full or now - last_full > FULL_SECONDS
                if full or now - last_light > pause or (self._look and now - last_light > _LOOK_SECONDS):
                    self._full = self._look = False
                    self._pass(full=full)
                    self._problem = None
                    last_light = time.monotonic()
                    last_full = last_light if full else last_full
                    pause = max(LIGHT_SECONDS, _PAUSE * (last_light - now))
                busy = sum(more() for more in self._idle) > 0
                self._wait(0.05 if busy else _LOOK_SECONDS if self._look else LIGHT_SECONDS)
            except (PassStopped, ReadersStopped):
                continue
            except IndexFileError as error:
                if not self._damaged:
                    _log.warning("Pictures are not indexed for a minute. %s", error)
                    self._problem, self._full = str(error), True
                    self._wait(_AFTER_TROUBLE)

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _pass(self, *, full: bool) -> None:
        self._progress = PassProgress()
        one = FolderPass(
            self._files, self._writer, self._reader, self._roots, self._trash, self._between, self._progress
        )
        try:
            one.run(full=full)
            if full:
                self._writer.tidy()
            rows = self._files.read("SELECT count(*) FROM pictures WHERE state = 3")
            self._skipped = int(rows[0][0])
        finally:
            self._reader.close()
            with self._settled:
                self._progress = None
                self._turns += 1
                self._settled.notify_all()

    def _between(self) -> None:
        if self._stopped or self._damaged:
            raise PassStopped
        self._take_saved()

    def _take_saved(self) -> None:
        """Index what was saved since, before anything else."""
        entries: list[Entry] = []
        with suppress(queue.Empty):
            while True:
                saved = self._saved.get_nowait()
                if (entry := self._entry(saved)) is not None:
                    entries.append(entry)
        if entries:
            self._writer.put(entries)

    def _entry(self, saved: _Saved) -> Entry | None:
        path = saved.path
        try:
            # As the roots are written: a folder of the settings may run through a link.
            path = path.parent.resolve() / path.name
            if self._roots.root_of(path) is None:
                return None
            if saved.owner is not None:
                self._marks.own(bytes.fromhex(content_digest(path)), saved.owner)
            file = FileFacts.of(path.name, path.stat())
            folder = self._writer.folder(path.parent, self._roots.shown(path.parent))
        except OSError:
            # Moved or deleted already.
            return None
        return Entry(folder, file, read_picture(path), owner=saved.owner)

    def _begin_anew(self) -> None:
        reason, self._damaged = self._damaged or "its file is gone", None
        try:
            self._files.begin_anew(reason)
        except (OSError, sqlite3.Error) as error:
            _log.warning("The index of pictures can't be begun anew: %s", error)
            self._wait(_AFTER_TROUBLE)
        self._writer.forget()
        self._full = True
