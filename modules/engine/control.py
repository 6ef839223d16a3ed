"""How jobs are stopped: requests that one thread makes and the loop that makes a job's pictures looks at."""

from __future__ import annotations

import threading
from enum import Enum


class StopLevel(Enum):
    """How much of a job is to be left out, strongest last."""

    NONE = 0
    SKIP = 1
    STOP_AFTER_BATCH = 2
    STOP = 3


class JobControl:
    """The stop requests for one run of one job. They may come before it begins: they act from its first batch on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._level = StopLevel.NONE

    def request(self, level: StopLevel) -> None:
        """Stop at `level`; a stronger request made earlier stays."""
        with self._lock:
            if level.value > self._level.value:
                self._level = level

    def end_batch(self) -> None:
        """A batch is over, and with it a skip: that was meant for this batch alone."""
        with self._lock:
            if self._level is StopLevel.SKIP:
                self._level = StopLevel.NONE

    @property
    def leave_batch(self) -> bool:
        """Whether the batch under way, or the next if none is, should be left now. Read between two steps."""
        return self._level in (StopLevel.SKIP, StopLevel.STOP)

    @property
    def stopped(self) -> bool:
        """Whether the job should end before it is complete: no batch is begun any more."""
        return self._level in (StopLevel.STOP_AFTER_BATCH, StopLevel.STOP)


class JobControls:
    """The controls of all jobs that were received and have not ended, by job id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._controls: dict[str, JobControl] = {}

    @property
    def busy(self) -> bool:
        """Whether a job is there that has not ended."""
        return bool(self._controls)

    def receive(self, job_id: str) -> JobControl:
        """The control of a run that has just been received; requests reach it from now on."""
        with self._lock:
            control = self._controls[job_id] = JobControl()
            return control

    def request(self, job_id: str, level: StopLevel) -> None:
        """Pass a request on to its job. One for a job that is not here is dropped: the job has ended."""
        with self._lock:
            control = self._controls.get(job_id)
        if control is not None:
            control.request(level)

    def end(self, job_id: str, control: JobControl) -> None:
        """The run with this control is over. A later run of the same job may have been received already: it stays."""
        with self._lock:
            if self._controls.get(job_id) is control:
                del self._controls[job_id]
