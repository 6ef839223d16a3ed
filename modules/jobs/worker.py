"""The thread that runs the queue: one job at a time to the engine, its news into rows, files and events."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from modules.jobs.engine_process import EngineEnded, EngineSaid
from modules.jobs.inbox import Close, Item, LoadRequest, Look, SkipRequest, StopRequest
from modules.jobs.inputs import InputStore, references
from modules.jobs.job import ImageSaved, Job, JobChanged, JobError, JobState, QueueNotWritable, Spent
from modules.jobs.live_progress import LiveProgress
from modules.jobs.saving import ImageSaver, SavingError
from modules.jobs.store import JobStore
from modules.jobs.subscriptions import Hub
from modules.jobs.supervisor import Patience, Supervisor
from modules.parameters import RequestError, ResolvedRequest
from modules.protocol import (
    CheckpointFailed,
    CheckpointFile,
    EngineReady,
    ImageReady,
    Interrupt,
    JobFailed,
    JobFinished,
    LoadCheckpoint,
    Notice,
    Preview,
    RunExtras,
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
RETRY_DISK_SECONDS: Final = 2.0


@dataclass(slots=True)
class Running:
    """The job under way; seconds are of the monotonic clock."""

    job: Job
    heard: float
    longest_pause: float = 0.0
    stopping_since: float | None = None
    failure: str | None = None


class Worker:
    """Everything that changes the running job happens on this one thread; others leave items in its inbox."""

    supervisor: Supervisor

    def __init__(
        self,
        store: JobStore,
        saver: ImageSaver,
        inputs: InputStore,
        find_checkpoint: Callable[[ResolvedRequest], CheckpointFile],
        find_hires_checkpoint: Callable[[ResolvedRequest], CheckpointFile | None],
        hub: Hub,
        ended: Callable[[Job], None],
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._saver, self._inputs, self._hub = store, saver, inputs, hub
        self._find_checkpoint, self._find_hires_checkpoint = find_checkpoint, find_hires_checkpoint
        self._tell_ended = ended
        self._patience = patience
        self._clock = clock
        self.board = LiveProgress(clock)
        self.warned: Callable[[str], None] = lambda text: None
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._running: Running | None = None
        self._wish: LoadRequest | None = None
        # What a new engine loads while no job waits: the checkpoint that the last one had in hand.
        self._in_hand: CheckpointFile | None = None
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    @property
    def running(self) -> Job | None:
        """The job under way, as it was when it began. May be read from any thread."""
        running = self._running
        return None if running is None else running.job

    def post(self, item: Item) -> None:
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
            self.supervisor.start()
            while not isinstance(item := self._next(), Close):
                self._until_written(self._handle, item)
                self.supervisor.tick()
                self._watch_silence()
                self._until_written(self._start_next)
        finally:
            self._put_back_for_next_start()
            closing = self._closing.is_set()
            self.supervisor.close("The server is shutting down." if closing else "The queue broke: restart the server.")

    def _next(self) -> Item:
        due = self.supervisor.next_due()
        if self._running is not None:
            silent = self._silence_limit(self._running) - (self._clock() - self._running.heard)
            due = min(due, silent) if due is not None else silent
        try:
            return self._inbox.get(timeout=None if due is None else max(0.0, due))
        except queue.Empty:
            return Look()

    def _until_written(self, action: Callable[..., None], *arguments: object) -> None:
        """Do something that writes rows; while that fails because the disk is full, try it again."""
        while True:
            try:
                return action(*arguments)
            except QueueNotWritable as error:
                _log.error("%s", error)
                if self._closing.wait(RETRY_DISK_SECONDS):
                    return

    def _handle(self, item: Item) -> None:
        match item:
            case EngineSaid() if self.supervisor.is_current(item):
                self._hear(item.event)
            case EngineEnded() if self.supervisor.is_current(item):
                self._engine_ended(item)
            case StopRequest():
                self._stop(item)
            case SkipRequest(job_id):
                if self._running is not None and self._running.job.id == job_id:
                    self.supervisor.send(Skip(job_id=job_id))
            case LoadRequest():
                self._wish = item
            case _:
                pass

    # Starting jobs

    def _start_next(self) -> None:
        while self.supervisor.ready and self._running is None:
            # A row that runs while nothing does is one whose end could not be written at the first try.
            job = self._store.claim_next() or self._store.running()
            if job is None:
                self._carry_out()
                return
            try:
                command = self._command(job)
            except (JobError, RequestError) as error:
                self._announce_end(self._store.end(job.id, "failed", cause=str(error)))
                continue
            self.board.begin(job.id)
            self._running = Running(job, heard=self._clock())
            if isinstance(command, RunJob):
                self._in_hand = command.checkpoint
            self.supervisor.send(command)
            self._hub.publish(job.id, JobChanged(job))

    def _command(self, job: Job) -> RunJob | RunExtras:
        if (asked := job.resolved.request.extras) is not None:
            done = {image.index for image in job.images if image.kind == "image"}
            given = (str(self._inputs.path(name)) for name in job.resolved.request.init_images)
            return RunExtras(
                job_id=job.id, resolved=job.resolved, files=asked.paths or tuple(given), done=tuple(sorted(done))
            )
        names = references(job.resolved.request)
        delivered = {image.index: image.path for image in job.images if image.kind == "image"}
        # A picture that somebody has deleted since is not made again: only the grid will lack it.
        pictures = {index: path.read_bytes() for index, path in sorted(delivered.items()) if path.is_file()}
        return RunJob(
            job_id=job.id,
            resolved=job.resolved,
            checkpoint=self._find_checkpoint(job.resolved),
            hires_checkpoint=self._find_hires_checkpoint(job.resolved),
            others=self._other_checkpoints(job.resolved),
            done=tuple(sorted(delivered)),
            inputs=names,
            pictures=tuple(pictures),
            blobs=(*(self._inputs.get(name) for name in names), *pictures.values()),
        )

    def _other_checkpoints(self, resolved: ResolvedRequest) -> dict[int, CheckpointFile]:
        found: dict[tuple[str | None, str | None], CheckpointFile] = {}
        others = {}
        for index, variant in enumerate(resolved.variants):
            if variant.checkpoint is not None:
                key = variant.checkpoint, variant.vae
                if key not in found:
                    found[key] = self._find_checkpoint(resolved.of_image(index))
                others[index] = found[key]
        return others

    def _carry_out(self) -> None:
        wish, self._wish = self._wish, None
        if wish is None:
            return
        self._in_hand = wish.checkpoint
        if wish.checkpoint is None:
            self.supervisor.send(UnloadCheckpoint())
            self.supervisor.unloaded()
        else:
            self.supervisor.send(LoadCheckpoint(checkpoint=wish.checkpoint))

    # Hearing the engine

    def _hear(self, event: Message) -> None:
        self.supervisor.heard(event)
        if isinstance(event, EngineReady) and self._wish is None and self._in_hand is not None:
            self._wish = LoadRequest(self._in_hand)
        elif isinstance(event, CheckpointFailed):
            self._in_hand = None
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
                self._finished(running, event)
            case JobFailed(cause=cause):
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
        job = self._store.end(running.job.id, state, cause=cause, notices=notices, spent=spent)
        self._running = None
        self.board.end()
        self._announce_end(job)

    def _announce_end(self, job: Job) -> None:
        if job.cause:
            _log.warning("Job %s failed: %s", job.id, job.cause)
        self._hub.publish(job.id, JobChanged(job))
        self._tell_ended(job)

    # Stopping jobs, and deaths

    def _stop(self, wish: StopRequest) -> None:
        running = self._running
        if running is None or running.job.id != wish.job_id:
            return
        now = self._clock()
        if running.stopping_since is not None and now - running.stopping_since > FORCE_AFTER:
            self.supervisor.kill("it did not react to Interrupt")
            return
        if not wish.after_image and running.stopping_since is None:
            running.stopping_since = now
        self.board.stopping(after_image=wish.after_image)
        self.supervisor.send(Interrupt(job_id=wish.job_id, after_image=wish.after_image))

    def _engine_ended(self, news: EngineEnded) -> None:
        if self.supervisor.status.state == "loading":
            self._in_hand = None  # It may have died of this file: loading it again unasked could go on forever.
        if self._running is not None:
            self._lost(self._running, self.supervisor.cause(news))
        self.supervisor.ended(news)

    def _lost(self, running: Running, cause: str) -> None:
        """Decide what becomes of a job whose engine died."""
        if running.failure is not None:
            self._end(running, "failed", cause=running.failure)
        elif self._store.asked_to_stop(running.job.id):
            self._end(running, "interrupted", notices=(f"The engine ended during the interrupt: {cause}.",))
        elif running.job.attempts + 1 >= DEATHS:
            self._end(running, "failed", cause=f"The engine ended twice while it made this picture: {cause}.")
        else:
            job = self._store.put_back(running.job.id, blame="engine")
            self._running = None
            self.board.end()
            self._hub.publish(job.id, JobChanged(job))

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
        if self._running is not None:
            # What can't be written now is put back by the next start all the same.
            with suppress(QueueNotWritable):
                self._store.put_back(self._running.job.id, blame="nobody")
            self._running = None
            self.board.end()
