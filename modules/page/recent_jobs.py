"""The latest jobs of a browser, whose rows, infotexts and files are read once rather than with every poll."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from modules.jobs.access import Viewer
from modules.jobs.job import ENDED
from modules.page.job_pictures import pictures

if TYPE_CHECKING:
    from modules.jobs import JobService
    from modules.jobs.job import Job

# Jobs of all browsers together.
MOST_REMEMBERED: Final = 500
# Files of an ended job may be deleted by anybody: they are counted anew after so many seconds.
FILES_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class RecentJob:
    """A job, and how many of the pictures it shows are there."""

    job: Job
    images: int


class RecentJobs:
    """An ended job's row changes no more, so it is cached. Safe to use from several threads."""

    def __init__(self, jobs: JobService, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._clock = clock
        self._lock = threading.Lock()
        self._ended: OrderedDict[str, tuple[RecentJob, float]] = OrderedDict()

    def of(self, viewer: Viewer, limit: int) -> list[RecentJob]:
        """The running job if it is of the viewer's browser, and its ended ones, latest first; of their login alone."""
        ids = self._jobs.ids(("running", *sorted(ENDED)), limit, viewer.client or "", viewer)
        found = [self._cached(job_id) or self._read(job_id) for job_id in ids]
        return [recent for recent in found if recent is not None]

    def _cached(self, job_id: str) -> RecentJob | None:
        with self._lock:
            recent, counted = self._ended.get(job_id, (None, 0.0))
            return recent if self._clock() - counted < FILES_SECONDS else None

    def _read(self, job_id: str) -> RecentJob | None:
        job = self._jobs.get(job_id)
        if job is None:
            return None
        recent = RecentJob(job, len(pictures(job)))
        if job.ended:
            with self._lock:
                self._ended[job_id] = recent, self._clock()
                self._ended.move_to_end(job_id)
                while len(self._ended) > MOST_REMEMBERED:
                    self._ended.popitem(last=False)
        return recent
