"""The end of a job whose row could not be written yet, and when to try again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modules.jobs.job import Job

_log = logging.getLogger(__name__)

# Seconds before the queue's file is tried again: the first for what passes by itself, a full disk or a lock.
RETRY_SECONDS: Final = 2.0
LONGEST_RETRY_SECONDS: Final = 60.0
# Who waits for a job hears that it failed after this many seconds in which its end could not be written.
ANNOUNCE_SECONDS: Final = 60.0


@dataclass(slots=True)
class PendingEnd:
    """A job that no engine works at any more. `write` changes its row and returns the job as it is then."""

    job: Job
    write: Callable[[], Job]
    announced: bool = False


class RetryTimer:
    """When rows may be written again after an error. Pauses grow, unless the error is one that passes by itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sentence: str | None = None
        self._since = 0.0
        self._pause = 0.0
        self._next = 0.0

    @property
    def seconds(self) -> float | None:
        """Seconds until the next try; None when nothing is wrong."""
        return None if self._sentence is None else max(0.0, self._next - self._clock())

    @property
    def due(self) -> bool:
        return self._sentence is None or self._clock() >= self._next

    def failed(self, sentence: str, *, passing: bool) -> bool:
        """Note a failure, logged once for each sentence. Returns whether those who wait should be notified now."""
        now = self._clock()
        if self._sentence is None:
            self._since = now
        if self._sentence != sentence:
            self._pause = RETRY_SECONDS
            _log.error("%s", sentence)
        elif not passing:
            self._pause = min(2 * self._pause, LONGEST_RETRY_SECONDS)
        self._sentence = sentence
        self._next = now + self._pause
        return not passing or now - self._since >= ANNOUNCE_SECONDS

    def succeeded(self) -> bool:
        """Note that the file could be written. Returns whether that is news."""
        was_wrong, self._sentence = self._sentence is not None, None
        return was_wrong
