"""The queue as page and API use it: ask, watch, stop, and find again. Every method may be called from any thread."""

from __future__ import annotations

import itertools
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Final

from modules.jobs.access import Viewer, may_access
from modules.jobs.collaborators import Collaborators, Limits
from modules.jobs.commands import CommandBuilder
from modules.jobs.completion import CompletionCallbacks, OnEnded
from modules.jobs.inbox import LoadRequest, Look, Question, SkipRequest, StopRequest
from modules.jobs.inputs import InputStore, references, stored
from modules.jobs.job import (
    EngineChanged,
    EngineStatus,
    Job,
    JobChanged,
    JobError,
    JobProgress,
    JobState,
    QueueChanged,
    QueueFileError,
    QueueFull,
    SavedImage,
    Tally,
    UnknownJob,
)
from modules.jobs.live_progress import Live
from modules.jobs.recovery import recover
from modules.jobs.saving import ImageSaver, remove_cached
from modules.jobs.store import JobStore
from modules.jobs.subscriptions import Hub, Subscription
from modules.jobs.supervisor import Patience, Supervisor
from modules.jobs.worker import Worker
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.protocol import EncodePictures, EncodeText, Meanings

_log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 15.0
PRUNE_EVERY: Final = 100
DEFAULT_PATIENCE: Final = Patience()


class JobService:
    """The queue. Constructing it settles what an earlier server left; `start` begins to run jobs."""

    def __init__(
        self,
        store: JobStore,
        inputs: InputStore,
        collaborators: Collaborators,
        limits: Callable[[], Limits] = Limits,
        patience: Patience = DEFAULT_PATIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._inputs, self._with = store, inputs, collaborators
        self._limits = limits
        self._patience = patience
        self._clock = clock
        self._hub = Hub()
        self._callbacks = CompletionCallbacks()
        self._ended_count = 0
        self._numbers = itertools.count(1)
        # Held while the store is read for somebody who waits, so that it is not closed under them.
        self._closing = threading.Lock()
        # Between storing a job's pictures and writing its row, nothing may clear them away.
        self._accepting = threading.Lock()
        saver = ImageSaver(store, collaborators.picture_store)
        self._worker = Worker(
            store,
            saver,
            CommandBuilder(inputs, collaborators),
            self._hub,
            self._job_ended,
            collaborators.after_run,
            patience,
        )
        self._supervisor = Supervisor(
            collaborators.launch, self._worker.post, self._engine_changed, patience, collaborators.engine_tail
        )
        saver.settle()
        recover(store, limits().server_deaths)
        self.prune()

    def start(self) -> None:
        """Start the engine, and go on with the jobs that wait."""
        self._worker.start(self._supervisor)

    def close(self) -> None:
        """End the engine. The running job is put back and goes on, with the waiting ones, at the next start."""
        self._worker.close(CLOSE_SECONDS)
        self._hub.close()
        self._callbacks.close()
        with self._closing:
            self._store.close()

    # Asking

    def submit(
        self,
        request: GenerationRequest,
        *,
        inputs: Mapping[str, bytes] | None = None,
        client: str | None = None,
        user: str | None = None,
        task_id: str | None = None,
        save: bool = True,
        notices: tuple[str, ...] = (),
    ) -> Job:
        """Queue a job; once this returns, it survives a power cut.

        `client` is the browser that sends it, or `api`; `user` the name of its login, where there are logins.
        `inputs` holds the pictures that the request names; `notices` are shown with the job's own. With `save`
        false the pictures go to a cache instead of the outputs. Raises RequestError when the request can't be carried
        out and JobError when it can't be accepted.
        """
        with self._accepting:
            limit = self._limits().waiting
            if self._store.count("waiting") >= limit:
                raise QueueFull(limit)
            request = stored(request, inputs or {}, self._inputs)
            save = save and (request.mode == "extras" or self._with.keeps_pictures())
            resolved = self._with.resolve(request)
            resolved = resolved.model_copy(update={"notices": (*notices, *resolved.notices)})
            return self._accept(request, resolved, Viewer(user, client), task_id, save)

    def duplicate(self, job_id: str) -> Job:
        """Queue the request of a job once more, by the present settings; a random seed is drawn anew."""
        job = self._existing(job_id)
        return self.submit(job.request, client=job.client, user=job.user, save=job.save)

    def retry(self, job_id: str) -> Job:
        """Queue an ended job once more exactly as it was resolved, seeds and settings included."""
        job = self._existing(job_id)
        if not job.ended:
            raise JobError("This job has not ended: there is nothing to retry yet.")
        with self._accepting:
            for digest in references(job.resolved.request):
                self._inputs.get(digest)
            return self._accept(job.request, job.resolved, Viewer(job.user, job.client), None, job.save)

    # Watching

    def get(self, job_id: str) -> Job | None:
        return self._store.get(job_id)

    def may_access(self, job: Job, viewer: Viewer) -> bool:
        """Whether `viewer` may see the job's request and pictures, and change it."""
        return may_access(job, viewer, self._with.sharing())

    def of_task(self, task_id: str, viewer: Viewer | None = None) -> Job | None:
        """The latest job that was submitted with this `task_id`; with `viewer`, not one of another login."""
        return self._store.of_task(task_id, self._login(viewer))

    def of_batch(self, task_id: str) -> Sequence[Job]:
        """All jobs that were submitted with this `task_id`, in their order."""
        return self._store.of_batch(task_id)

    def tally(self, task_id: str, viewer: Viewer | None = None) -> Tally:
        """How the jobs that were submitted with this `task_id` stand; with `viewer`, without those of other logins."""
        return self._store.tally(task_id, self._login(viewer))

    def images_of_batch(self, task_id: str, limit: int = -1, viewer: Viewer | None = None) -> Sequence[SavedImage]:
        """The pictures of the jobs that were submitted with this `task_id`, at most `limit` (-1: all).

        With `viewer`, without those of other logins.
        """
        return self._store.images_of_batch(task_id, limit, self._login(viewer))

    def running(self) -> Job | None:
        return self._store.running()

    def list(
        self,
        states: Iterable[JobState] | None = None,
        limit: int = 100,
        client: str | None = None,
        offset: int = 0,
        viewer: Viewer | None = None,
    ) -> Sequence[Job]:
        """The running job, the waiting ones in order, then the ended ones, latest first, from `offset` on.

        With `client`, the jobs of that browser only. With `viewer`, the jobs of other logins are left out.
        """
        return self._store.list(states, limit, client, offset, self._login(viewer))

    def ids(self, states: Iterable[JobState], limit: int, client: str, viewer: Viewer | None = None) -> Sequence[str]:
        """The ids of one client's jobs in the order of `list`, which costs no reading of requests and pictures."""
        return self._store.ids(states, limit, client, self._login(viewer))

    def count(self, state: JobState) -> int:
        """How many jobs are in this state."""
        return self._store.count(state)

    def now(self) -> tuple[Job, Live, float | None] | None:
        """The running job, how far it is, and its ETA in seconds, from memory: an event loop waits for nothing here.

        The job is as it was when it began: pictures that it has saved since are not in it.
        """
        job = self._worker.running
        read = None if job is None else self._worker.board.of(job.id)
        return None if job is None or read is None else (job, *read)

    def progress(self, job_id: str | None = None) -> JobProgress | None:
        """How far a job is; without an id, the running one (None when none runs). Raises UnknownJob."""
        job = self._store.running() if job_id is None else self._existing(job_id)
        if job is None:
            return None
        on_ended = JobProgress(
            job.id,
            job.state,
            position=self._position(job),
            fraction=1.0 if job.state == "finished" else 0.0,
            images=job.images,
            cause=job.cause,
            notices=job.notices,
        )
        if (now := self._worker.board.of(job.id)) is None:
            return on_ended
        live, eta = now
        return JobProgress(
            job.id,
            job.state,
            position=on_ended.position,
            fraction=live.fraction,
            step=live.step,
            steps=live.steps,
            batch=live.batch,
            eta_seconds=eta,
            preview=live.preview,
            preview_mime=live.preview_mime,
            preview_serial=live.preview_serial,
            stopping="now" if live.interrupted else "after_image" if live.stopping else "",
            images=job.images,
            cause=job.cause,
            notices=job.notices,
        )

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """The job once it has ended; as it is after `timeout` seconds, or when the server closes. Raises UnknownJob."""
        ended: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        with self._callbacks.watched(job_id, ended.put):
            job = self._existing(job_id)
            if job.ended:
                return job
            with suppress(queue.Empty):
                return ended.get(timeout=timeout) or job
            with self._closing:
                return job if self._callbacks.closed else self._existing(job_id)

    def watched(self, job_id: str, on_ended: OnEnded) -> AbstractContextManager[None]:
        """While this is open, `on_ended` is called when the job ends: for async code, where no thread may wait."""
        return self._callbacks.watched(job_id, on_ended)

    def subscribe(self, wake: Callable[[], None] | None = None) -> Subscription:
        """Receive what happens from now on. Async code passes a `wake` that does not block, and polls when called."""
        return self._hub.subscribe(wake)

    def on_warning(self, on_ended: Callable[[str], None]) -> None:
        """Have `on_ended` called, from another thread, with every sentence that the engine warns of."""
        self._worker.warned = on_ended

    def engine(self) -> EngineStatus:
        """How the engine is, with the checkpoint's title as the lists have it now."""
        status = self._supervisor.status
        if status.checkpoint_title is None:
            return status
        return replace(status, checkpoint_title=self._with.title_now(status.checkpoint_title))

    def engine_now(self) -> EngineStatus:
        """As `engine`, from memory alone, for event loops; the checkpoint's title is that of when it was loaded."""
        return self._supervisor.status

    # Stopping and ordering

    def cancel(self, job_id: str) -> None:
        """Take a waiting job out of the queue; a running one is interrupted. Ended ones stay as they are."""
        self._existing(job_id)
        if self._store.end_waiting(job_id, "cancelled"):
            self._after_cancel(job_id)
        else:
            self.interrupt(job_id)

    def cancel_batch(self, task_id: str) -> None:
        """Take every waiting job of a batch out of the queue; what runs of it goes on."""
        for job in self._store.of_batch(task_id):
            if job.state == "waiting" and self._store.end_waiting(job.id, "cancelled"):
                self._after_cancel(job.id)

    def interrupt(self, job_id: str | None = None, *, after_image: bool = False) -> None:
        """End the running job after its current step, or after its current batch, keeping what is finished.

        With the id of a waiting job, that job is cancelled. The other files of a batch are taken out of the queue. An
        engine that does not react ends at the second call.
        """
        job = self._store.running() if job_id is None else self._existing(job_id)
        if job is not None and job.request.batch is not None and job.task_id:
            # Also where the named file is done already: whoever saw it run means the batch, which may be at the next.
            self.cancel_batch(job.task_id)
            job = self._unended_of(job)
        if job is None or job.ended:
            return
        if job.state == "waiting" and self._store.end_waiting(job.id, "cancelled"):
            return self._after_cancel(job.id)
        if not after_image:
            # A disk that is full must not keep a job from being stopped; only a crash in between would run it again.
            with suppress(QueueFileError):
                self._store.ask_to_stop(job.id)
        self._worker.post(StopRequest(job.id, after_image))

    def skip(self, job_id: str | None = None) -> None:
        """Leave the batch that the running job is making, and go on with its next one."""
        job = self._store.running() if job_id is None else self._existing(job_id)
        if job is not None:
            self._worker.post(SkipRequest(job.id))

    def move(self, job_id: str, position: int) -> None:
        """Put a waiting job at `position`, 1 being the next to run. Raises JobError when it does not wait."""
        if not self._store.move(job_id, position):
            self._existing(job_id)
            raise JobError("Only a job that waits can be moved.")
        self._hub.publish(job_id, QueueChanged())

    # The engine and its checkpoint

    def load_checkpoint(self, title: str | None) -> None:
        """Have the engine load a checkpoint once no job runs or waits. Raises RequestError for an unknown title."""
        self._worker.post(LoadRequest(self._with.checkpoint_named(title)))

    def unload_checkpoint(self) -> None:
        """Give back the memory of the loaded checkpoint once no job runs."""
        self._worker.post(LoadRequest(None))

    def ask(self, make: Callable[[int], EncodePictures | EncodeText], timeout: float) -> Meanings | None:
        """The engine's answer to a command that is no job, made for a number; None where it has none in time."""
        answers: queue.SimpleQueue[Meanings | None] = queue.SimpleQueue()
        self._worker.post(Question(make(next(self._numbers)), answers.put))
        try:
            return answers.get(timeout=timeout)
        except queue.Empty:
            return None

    # Keeping house

    def prune(self) -> None:
        """Delete the oldest ended rows beyond the limit, with the files that only they refer to."""
        with self._accepting:
            for job in self._store.delete_ended(self._limits().ended):
                for image in job.images:
                    if image.cached:
                        remove_cached(image.path)
            self._inputs.prune(self._store.inputs_in_use())

    # Below

    def _login(self, viewer: Viewer | None) -> Viewer | None:
        """Whose jobs a question is about; None where logins make no difference."""
        return viewer if self._with.sharing() == "user" else None

    def _accept(
        self, request: GenerationRequest, resolved: ResolvedRequest, sender: Viewer, task_id: str | None, save: bool
    ) -> Job:
        job = Job(
            secrets.token_hex(8),
            "waiting",
            request,
            resolved,
            notices=resolved.notices,
            created=self._clock(),
            client=sender.client,
            user=sender.user,
            task_id=task_id,
            save=save,
        )
        self._store.add(job, references(resolved.request))
        self._hub.publish(job.id, JobChanged(job))
        self._worker.post(Look())
        return job

    def _unended_of(self, job: Job) -> Job:
        """The job itself, or of its batch the one that runs now."""
        running = self._store.running()
        return running if running is not None and running.task_id == job.task_id else self._existing(job.id)

    def _position(self, job: Job) -> int | None:
        if job.state == "running":
            return 0
        return self._store.position(job.id) if job.state == "waiting" else None

    def _after_cancel(self, job_id: str) -> None:
        job = self._existing(job_id)
        self._hub.publish(job_id, JobChanged(job))
        self._job_ended(job)

    def _job_ended(self, job: Job) -> None:
        self._callbacks.notify(job)
        self._ended_count += 1
        if self._ended_count % PRUNE_EVERY == 0:
            try:
                self.prune()
            except (JobError, OSError) as error:
                _log.warning("Old jobs were not cleared away: %s", error)

    def _engine_changed(self, status: EngineStatus) -> None:
        self._hub.publish(None, EngineChanged(status))

    def _existing(self, job_id: str) -> Job:
        job = self._store.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        return job
