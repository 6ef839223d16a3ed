"""Callbacks for the end of a job: each is called once, with the job, and no others are called."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from modules.jobs.job import Job

_log = logging.getLogger(__name__)

OnEnded = Callable[[Job | None], None]


class CompletionCallbacks:
    """Callbacks by job id, called from any thread with the ended job (None: the server closes). They must not block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[OnEnded]] = {}
        self.closed = False

    @contextmanager
    def watched(self, job_id: str, callback: OnEnded) -> Iterator[None]:
        """While this holds, `callback` is called when the job ends. The job may have ended before: look once inside."""
        with self._lock:
            self._waiting.setdefault(job_id, []).append(callback)
        try:
            yield
        finally:
            with self._lock:
                left = [one for one in self._waiting.get(job_id, ()) if one is not callback]
                if left:
                    self._waiting[job_id] = left
                else:
                    self._waiting.pop(job_id, None)

    def notify(self, job: Job) -> None:
        """The job has ended."""
        with self._lock:
            waiting = list(self._waiting.get(job.id, ()))
        _call(waiting, job)

    def close(self) -> None:
        """Nothing will end any more: everybody goes on with what they know."""
        with self._lock:
            self.closed = True
            waiting = [callback for all_of_one in self._waiting.values() for callback in all_of_one]
        _call(waiting, None)


def _call(callbacks: Iterable[OnEnded], job: Job | None) -> None:
    for callback in callbacks:
        try:
            callback(job)
        except RuntimeError as error:  # Its event loop is closed: nobody is there to be woken.
            _log.warning("Somebody who waited for a job left without a word: %s", error)
