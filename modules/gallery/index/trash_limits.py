"""What lies in the trash too long, or beyond its size, is deleted for good."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from modules.gallery.index.actions import Actions
from modules.gallery.index.options import IndexOptions
from modules.gallery.index.records import Outcome
from modules.gallery.index.search import Search
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.writing import State
from modules.settings import OptionStore
from modules.settings.groups import read_options

_DAY: Final = 86_400.0
_EVERY: Final = 600.0
_MEGABYTE: Final = 1_000_000
# Some seconds of a slow disk, within which whoever empties the trash waits for the answer.
MOST_AT_ONCE: Final = 2_000
_PART: Final = 200


class TrashLimits:
    """Called in idle time, by one thread."""

    def __init__(self, files: GalleryFiles, search: Search, actions: Actions, options: OptionStore) -> None:
        self._files, self._search, self._actions, self._options = files, search, actions, options
        self._next = 0.0
        self._emptying: deque[int] = deque()

    def empty(self, rows: Sequence[int]) -> tuple[Outcome, int]:
        """Delete pictures from disk, the first of them now; how many are deleted in idle time is said beside."""
        outcome = self._actions.delete_for_good(self._search.pictures(rows[:MOST_AT_ONCE]))
        self._emptying.extend(rows[MOST_AT_ONCE:])
        return outcome, len(rows[MOST_AT_ONCE:])

    def forget(self) -> None:
        """Look at the trash at the next call, however short ago the last one was."""
        self._next = 0.0

    def enforce(self) -> bool:
        """Delete what the settings `gallery_trash_days` and `gallery_trash_megabytes` say, oldest first.

        Says whether there is more to delete of what somebody emptied.
        """
        if self._emptying:
            part = [self._emptying.popleft() for _ in range(min(_PART, len(self._emptying)))]
            self._actions.delete_for_good(self._search.pictures(part))
            return bool(self._emptying)
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _EVERY
        limits = read_options(IndexOptions, self._options.as_dict())
        days, room = limits.trash_days, limits.trash_megabytes
        rows = self._files.read(
            "SELECT id, bytes, trashed FROM pictures WHERE state = ? ORDER BY trashed DESC, id DESC", (State.TRASHED,)
        )
        size, gone = 0, list[int]()
        for row in rows:
            size += int(row["bytes"])
            too_old = days > 0 and float(row["trashed"]) < time.time() - days * _DAY
            if too_old or (room > 0 and size > room * _MEGABYTE):
                gone.append(int(row["id"]))
        self._actions.delete_for_good(self._search.pictures(gone))
        return False
