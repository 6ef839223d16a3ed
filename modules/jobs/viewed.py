"""The queue as one viewer sees and changes it: page and API reach jobs by here alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modules.jobs.access import Viewer
from modules.jobs.job import Job, JobProgress, JobState, SavedImage, Tally, UnknownJob

if TYPE_CHECKING:
    from modules.jobs.service import JobService


class ViewedJobs:
    """The jobs that `viewer` may see and change.

    A job that is not theirs is answered as one that does not exist: every method with an id raises UnknownJob for it.
    An id is a job's own, or the task id under which it was submitted: a client's own id, or that of a batch. Of several
    jobs under one task id the latest is meant; cancelling and interrupting a batch means all of it.
    """

    def __init__(self, jobs: JobService, viewer: Viewer) -> None:
        self._jobs = jobs
        self.viewer = viewer

    # Watching

    def find(self, name: str) -> Job:
        """The job of this id or task id. Raises UnknownJob."""
        job = self.get(name) or self._jobs.of_task(name, self.viewer)
        if job is None or not self.may_access(job):
            raise UnknownJob(name)
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of this id; None where there is none, or it is somebody else's."""
        job = self._jobs.get(job_id)
        return job if job is not None and self.may_access(job) else None

    def may_access(self, job: Job) -> bool:
        """Whether the viewer may see the job's request and pictures, and change it. From memory: waits for nothing."""
        return self._jobs.may_access(job, self.viewer)

    def running(self) -> Job | None:
        """The running job, if it is the viewer's."""
        job = self._jobs.running()
        return job if job is not None and self.may_access(job) else None

    def list(self, states: Iterable[JobState] | None = None, limit: int = 100, offset: int = 0) -> Sequence[Job]:
        """As `JobService.list`, without the jobs of other logins."""
        return self._jobs.list(states, limit, offset=offset, viewer=self.viewer)

    def progress(self, name: str) -> JobProgress:
        """How far a job is. Raises UnknownJob."""
        job = self.find(name)
        return self._jobs.progress(job.id) or JobProgress(job.id, job.state)

    def tally(self, task_id: str) -> Tally:
        """How the viewer's jobs that were submitted with this `task_id` stand."""
        return self._jobs.tally(task_id, self.viewer)

    def images_of_batch(self, task_id: str, limit: int = -1) -> Sequence[SavedImage]:
        """The pictures of the viewer's jobs that were submitted with this `task_id`, at most `limit` (-1: all)."""
        return self._jobs.images_of_batch(task_id, limit, self.viewer)

    # Changing

    def cancel(self, name: str) -> Job:
        """Take a waiting job, or what waits of a batch, out of the queue; a running job is interrupted."""
        job = self.find(name)
        if job.request.batch is not None and job.task_id == name:
            self._jobs.cancel_batch(name)
        else:
            self._jobs.cancel(job.id)
        return self._now(job)

    def interrupt(self, name: str, *, after_image: bool = False) -> Job:
        """End a job after its current step, or after its current batch; see `JobService.interrupt`."""
        job = self.find(name)
        self._jobs.interrupt(job.id, after_image=after_image)
        return self._now(job)

    def skip(self, name: str) -> Job:
        """Leave the batch of pictures that the running job is making, and go on with its next one."""
        job = self.find(name)
        self._jobs.skip(job.id)
        return self._now(job)

    def move(self, name: str, position: int) -> Job:
        """Put a waiting job at `position`, 1 being the next to run. Raises JobError when it does not wait."""
        job = self.find(name)
        self._jobs.move(job.id, position)
        return self._now(job)

    def duplicate(self, name: str) -> Job:
        """Queue the request of a job once more, by the present settings; a random seed is drawn anew."""
        return self._jobs.duplicate(self.find(name).id)

    def retry(self, name: str) -> Job:
        """Queue an ended job once more exactly as it was resolved. Raises JobError while it has not ended."""
        return self._jobs.retry(self.find(name).id)

    def _now(self, job: Job) -> Job:
        return self._jobs.get(job.id) or job
