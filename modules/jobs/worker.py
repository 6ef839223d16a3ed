"""The thread that runs the queue: one job at a time to the engine, its news into rows, files and events."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from modules.jobs.commands import CommandBuilder
from modules.jobs.engine_process import EngineEnded, EngineSaid
from modules.jobs.inbox import Close, InboxItem, LoadRequest, Look, Question, SkipRequest, StopRequest
from modules.jobs.job import ImageSaved, Job, JobChanged, JobError, JobState, QueueFileError, Spent, UnknownJob
from modules.jobs.live_progress import LiveProgress
from modules.jobs.pending_end import PendingEnd, RetryTimer
from modules.jobs.running_job import Running
from modules.jobs.saving import ImageSaver, SavingError
from modules.jobs.store import JobStore
from modules.jobs.subscriptions import Hub
from modules.jobs.supervisor import Patience, Supervisor
from modules.parameters import RequestError
from modules.protocol import (
    CheckpointFailed,
    CheckpointFile,
    EncodePictures,
    EngineReady,
    ImageReady,
    Interrupt,
    JobFailed,
    JobFinished,
    LoadCheckpoint,
    Meanings,
    Notice,
    Preview,
    RunJob,
    Skip,
    StepDone,
    UnloadCheckpoint,
)
from modules.protocol.messages import Message

_log = logging.getLogger(__name__)

# Engines that may die while they run one job: after the first death it is put back, at the second it fails.
DEATHS: Final = 2
# An Interrupt that is repeated this many seconds after the first ends the engine instead of asking it again.
FORCE_AFTER: Final = 10.0
# A silence is a hang only when it is this many times longer than any pause the job has made before.
PATIENCE_FACTOR: Final = 20.0


class Worker:
    """Everything that changes the running job happens on this one thread; others leave items in its inbox."""

    supervisor: Supervisor

    def __init__(
        self,
        store: JobStore,
        saver: ImageSaver,
        commands: CommandBuilder,
        hub: Hub,
        ended: Callable[[Job], None],
        after_run: Callable[[Job], None],
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._saver, self._commands, self._hub = store, saver, commands, hub
        self._on_ended = ended
        self._after_run = after_run
        self._patience = patience
        self._clock = clock
        self.board = LiveProgress(clock)
        self.warned: Callable[[str], None] = lambda text: None
        self._inbox: queue.SimpleQueue[InboxItem] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._running: Running | None = None
        self._pending: PendingEnd | None = None
        self._retry = RetryTimer(clock)
        self._load_request: LoadRequest | None = None
        self._questions: dict[int, Question] = {}
        # What a new engine loads while no job waits: the last one's.
        self._checkpoint: CheckpointFile | None = None
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    @property
    def running(self) -> Job | None:
        """The job under way, as it was when it began. May be read from any thread."""
        running = self._running
        return None if running is None else running.job

    def post(self, item: InboxItem) -> None:
        """Leave something to be done. Never blocks."""
        self._inbox.put(item)

    def start(self, supervisor: Supervisor) -> None:
        """Start the engine, then the jobs that wait."""
        self.supervisor = supervisor
        self._thread.start()

    def close(self, timeout: float) -> None:
        self._closing.set()
        self.post(Close())
        if self._thread.is_alive():
            self._thread.join(timeout)

    # The loop

    def _work(self) -> None:
        try:
            self._guarded(self.supervisor.start)
            while not isinstance(item := self._next(), Close):
                self._guarded(self._handle, item)
                self._guarded(self.supervisor.tick)
                self._guarded(self._watch_silence)
                self._guarded(self._unless_refused, self._go_on)
        finally:
            self._guarded(self._put_back_for_next_start)
            self._forget_questions()
            closing = self._closing.is_set()
            self.supervisor.close("The server is shutting down." if closing else "The queue broke: restart the server.")

    def _next(self) -> InboxItem:
        due = [self.supervisor.next_due(), self._retry.seconds]
        if self._running is not None:
            due.append(self._silence_limit(self._running) - (self._clock() - self._running.heard))
        soonest = min((seconds for seconds in due if seconds is not None), default=None)
        try:
            return self._inbox.get(timeout=None if soonest is None else max(0.0, soonest))
        except queue.Empty:
            return Look()

    def _guarded(self, action: Callable[..., None], *arguments: object) -> None:
        """The boundary of the thread: no error of one job, file or row stops the queue."""
        try:
            return action(*arguments)
        except (JobError, RequestError) as error:
            cause = str(error)
        except Exception as error:  # noqa: BLE001
            _log.exception("An unexpected error in the queue")
            cause = f"An unexpected error: {_named(error)}. The server's log has the details."
        if action != self._fail_running:
            self._guarded(self._fail_running, cause)
        else:
            self._retry.failed(cause, passing=False)

    def _fail_running(self, cause: str) -> None:
        """Fail the job under way, or the one whose end is being written, after an error in what was done for it."""
        if (running := self._running) is not None:
            running.failure = running.failure or cause
            if running.sent:
                self.supervisor.send(Interrupt(job_id=running.job.id))
            else:
                self._end(running, "failed", cause=running.failure)
        elif (pending := self._pending) is not None:
            job = _failed(pending.job, cause)
            self._pending = PendingEnd(job, lambda: self._store.force_end(job, cause), pending.announced)
            self._retry.failed(cause, passing=False)
        else:
            # No job is to blame: what comes next is tried after a pause.
            self._retry.failed(cause, passing=False)

    def _handle(self, item: InboxItem) -> None:
        match item:
            case EngineSaid() if self.supervisor.is_current(item):
                self._on_event(item.event)
            case EngineEnded() if self.supervisor.is_current(item):
                self._engine_ended(item)
            case StopRequest():
                self._stop(item)
            case SkipRequest(job_id):
                if self._running is not None and self._running.job.id == job_id:
                    self.supervisor.send(Skip(job_id=job_id))
            case LoadRequest():
                self._load_request = item
            case Question():
                self._ask(item)
            case _:
                pass

    # Questions

    def _ask(self, question: Question) -> None:
        """Pictures are looked at while there is nothing else to do; what a text means is somebody's to wait for."""
        idle = self._running is None and self._pending is None and self.supervisor.status.state != "loading"
        if not self.supervisor.ready or (isinstance(question.command, EncodePictures) and not idle):
            question.answer(None)
            return
        self._questions[question.command.request] = question
        self.supervisor.send(question.command)

    def _forget_questions(self) -> None:
        for question in self._questions.values():
            question.answer(None)
        self._questions.clear()

    # Starting jobs

    def _go_on(self) -> None:
        """Write the end that is still to be written, then start what is next."""
        self._write_pending()
        self._start_next()

    def _unless_refused(self, action: Callable[[], None]) -> None:
        """Do something that writes rows; while the queue's file refuses that, only now and then."""
        if not self._retry.due:
            return
        try:
            action()
        except QueueFileError as error:
            self._not_written(error)
        else:
            # An end that was refused on the way is still to be written.
            if self._pending is None and self._retry.succeeded():
                self.supervisor.show_problem(None)

    def _write_pending(self) -> None:
        if (pending := self._pending) is None:
            return
        try:
            job = pending.write()
        except UnknownJob as error:  # Its row is gone or can't be read: nobody can be shown it any more.
            job = _failed(pending.job, str(error))
        self._pending = None
        self._announce_end(job)

    def _not_written(self, error: QueueFileError) -> None:
        self.supervisor.show_problem(str(error))
        pending = self._pending
        if self._retry.failed(str(error), passing=error.passing) and pending is not None and not pending.announced:
            # Nobody can say when the row will be written; those who wait for the job are not to wait for that.
            job = _failed(pending.job, str(error))
            self._pending = PendingEnd(job, lambda: self._store.end(job.id, "failed", cause=job.cause), announced=True)
            self._announce_end(job)

    def _start_next(self) -> None:
        while self.supervisor.ready and self._running is None and self._pending is None:
            # A row that runs while nothing does is one that was claimed and could then not be read.
            job = self._store.claim_next() or self._store.running()
            if job is None:
                self._send_load_request()
                return
            self._running = Running(job, heard=self._clock())
            self._guarded(self._send, self._running)

    def _send(self, running: Running) -> None:
        job = running.job
        command = self._commands.command(job)
        self.board.begin(job.id)
        if isinstance(command, RunJob):
            self._checkpoint = command.checkpoint
        self.supervisor.send(command)
        running.sent = True
        self._hub.publish(job.id, JobChanged(job))

    def _send_load_request(self) -> None:
        request, self._load_request = self._load_request, None
        if request is None:
            return
        self._checkpoint = request.checkpoint
        if request.checkpoint is None:
            self.supervisor.send(UnloadCheckpoint())
            self.supervisor.unloaded()
        else:
            self.supervisor.send(LoadCheckpoint(checkpoint=request.checkpoint))

    # Events of the engine

    def _on_event(self, event: Message) -> None:
        self.supervisor.heard(event)
        if isinstance(event, EngineReady) and self._load_request is None and self._checkpoint is not None:
            self._load_request = LoadRequest(self._checkpoint)
        elif isinstance(event, CheckpointFailed):
            self._checkpoint = None
        if isinstance(event, Meanings):
            # It says nothing about how the job is.
            if (question := self._questions.pop(event.request, None)) is not None:
                question.answer(event)
            return
        if isinstance(event, Notice):
            _log.log(logging.WARNING if event.level == "warning" else logging.INFO, "%s", event.text)
            if event.level == "warning":
                self.warned(event.text)
        running = self._running
        if running is None:
            return
        now = self._clock()
        running.longest_pause = max(running.longest_pause, now - running.heard)
        running.heard = now
        if getattr(event, "job_id", running.job.id) != running.job.id:
            return
        match event:
            case Notice():
                self._hub.publish(running.job.id, event)
            case StepDone():
                self.board.step(event)
                self._hub.publish(running.job.id, event)
            case Preview() if event.blobs:
                self.board.preview(event)
                self._hub.publish(running.job.id, event)
            case ImageReady() if event.blobs:
                self._save(running, event)
            case JobFinished():
                running.sent = False
                self._finished(running, event)
            case JobFailed(cause=cause):
                running.sent = False
                self._end(running, "failed", cause=running.failure or cause)

    def _save(self, running: Running, event: ImageReady) -> None:
        if running.failure is not None:
            return
        try:
            image = self._saver.save(running.job, event)
        except SavingError as error:
            _log.error("%s", error)
            running.failure = str(error)
            self.supervisor.send(Interrupt(job_id=running.job.id))
            return
        if image is not None:
            self._hub.publish(running.job.id, ImageSaved(image))

    def _finished(self, running: Running, event: JobFinished) -> None:
        if running.failure is not None:
            self._end(running, "failed", cause=running.failure, notices=event.notices)
        else:
            spent = Spent(event.seconds, event.memory)
            state: JobState = "interrupted" if event.interrupted else "finished"
            self._end(running, state, notices=event.notices, spent=spent)

    def _end(
        self,
        running: Running,
        state: JobState,
        *,
        cause: str | None = None,
        notices: tuple[str, ...] = (),
        spent: Spent | None = None,
    ) -> None:
        job_id = running.job.id
        self._leave(running, lambda: self._store.end(job_id, state, cause=cause, notices=notices, spent=spent))

    def _leave(self, running: Running, write: Callable[[], Job]) -> None:
        """The job is under way no more, whether or not its row can be written now."""
        self._running = None
        self.board.end()
        self._guarded(self._after_run, running.job)
        self._pending = PendingEnd(running.job, write)
        self._unless_refused(self._write_pending)

    def _announce_end(self, job: Job) -> None:
        if job.cause:
            _log.warning("Job %s failed: %s", job.id, job.cause)
        self._hub.publish(job.id, JobChanged(job))
        if job.ended:
            self._on_ended(job)

    # Stopping jobs, and deaths

    def _stop(self, request: StopRequest) -> None:
        running = self._running
        if running is None or running.job.id != request.job_id:
            return
        now = self._clock()
        if running.stopping_since is not None and now - running.stopping_since > FORCE_AFTER:
            self.supervisor.kill("it did not react to Interrupt")
            return
        if not request.after_image and running.stopping_since is None:
            running.stopping_since = now
        self.board.stopping(after_image=request.after_image)
        self.supervisor.send(Interrupt(job_id=request.job_id, after_image=request.after_image))

    def _engine_ended(self, news: EngineEnded) -> None:
        if self.supervisor.status.state == "loading":
            self._checkpoint = None  # It may have died of this file: loading it again could go on forever.
        self._forget_questions()
        cause, running = self.supervisor.cause(news), self._running
        try:
            if running is not None:
                running.sent = False
                self._leave(running, lambda: self._after_death(running, cause))
        finally:
            self.supervisor.ended(news)

    def _after_death(self, running: Running, cause: str) -> Job:
        """Write what becomes of a job whose engine died: once more, or failed."""
        job = running.job
        if running.failure is not None:
            return self._store.end(job.id, "failed", cause=running.failure)
        if self._store.stop_requested(job.id):
            notice = f"The engine ended during the interrupt: {cause}."
            return self._store.end(job.id, "interrupted", notices=(notice,))
        if job.attempts + 1 >= DEATHS:
            sentence = f"The engine ended twice while it made this picture: {cause}."
            return self._store.end(job.id, "failed", cause=sentence)
        return self._store.put_back(job.id, blame="engine")

    def _silence_limit(self, running: Running) -> float:
        return max(self._patience.silence, PATIENCE_FACTOR * running.longest_pause)

    def _watch_silence(self) -> None:
        running = self._running
        if running is None or not self.supervisor.ready:
            return
        silent = self._clock() - running.heard
        if silent >= self._silence_limit(running):
            running.heard = self._clock()
            self.supervisor.kill(f"it gave no sign of life for {silent:.0f} seconds")

    def _put_back_for_next_start(self) -> None:
        # What can't be written now is put back by the next start all the same.
        with suppress(QueueFileError):
            self._write_pending()
        if (running := self._running) is not None:
            self._running = None
            self.board.end()
            with suppress(QueueFileError):
                self._store.put_back(running.job.id, blame="nobody")


def _failed(job: Job, cause: str) -> Job:
    return replace(job, state="failed", cause=cause, finished=time.time())


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
