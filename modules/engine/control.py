"""How a running job is asked to stop: flags that the reader thread sets and the step loop looks at."""

from __future__ import annotations

import threading
from enum import Enum


class StopLevel(Enum):
    """What somebody wants of the running job, strongest last."""

    NONE = 0
    SKIP = 1
    STOP_AFTER_BATCH = 2
    STOP = 3


class JobControl:
    """Wishes for one job at a time. A wish for a job that is not running is dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job_id: str | None = None
        self._wish = StopLevel.NONE

    def begin(self, job_id: str) -> None:
        with self._lock:
            self._job_id = job_id
            self._wish = StopLevel.NONE

    def end(self) -> None:
        with self._lock:
            self._job_id = None
            self._wish = StopLevel.NONE

    def wish(self, job_id: str, wish: StopLevel) -> None:
        """Ask `wish` of `job_id`; a stronger wish made earlier stays."""
        with self._lock:
            if job_id == self._job_id and wish.value > self._wish.value:
                self._wish = wish

    def next_batch(self) -> bool:
        """Whether the job goes on with another batch; a skip ends with the batch it was meant for."""
        with self._lock:
            if self._wish is StopLevel.SKIP:
                self._wish = StopLevel.NONE
            return self._wish is StopLevel.NONE

    def leave_batch(self) -> bool:
        """Whether the batch under way should be left now. Looked at between two steps."""
        with self._lock:
            return self._wish in (StopLevel.SKIP, StopLevel.STOP)

    @property
    def stopped(self) -> bool:
        """Whether the job was asked to end before it was complete."""
        with self._lock:
            return self._wish in (StopLevel.STOP_AFTER_BATCH, StopLevel.STOP)
