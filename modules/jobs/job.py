"""The values the queue hands out: a job, its saved pictures, its progress, and how the engine is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from modules.files.database import FileTrouble, trouble_sentence
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.protocol import MachineFacts, MemoryPeak

JobState = Literal["waiting", "running", "finished", "interrupted", "cancelled", "failed"]
# "problem": it runs, and the sentence says what it or the queue can't do: load a checkpoint, write to the disk.
EngineState = Literal["starting", "loading", "ready", "problem", "restarting", "stopped"]

ENDED: Final[frozenset[JobState]] = frozenset({"finished", "interrupted", "cancelled", "failed"})


class JobError(RuntimeError):
    """Something the queue cannot do. The message is one sentence for the user."""


class UnknownJob(JobError):
    """No job has this id: it was never accepted here, or its row was pruned."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is no job {job_id[:60]!r}: it was never queued here, or it was cleared away.")


class QueueFull(JobError):
    """The queue holds as many waiting jobs as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The queue holds {limit} waiting jobs already: let some finish or cancel some first.")


class QueueFileError(JobError):
    """The queue's file can't be read or written now. `trouble` says why; `passing`, whether waiting may help."""

    def __init__(self, path: Path, trouble: FileTrouble, reason: object) -> None:
        self.trouble: FileTrouble = trouble
        self.passing = trouble in ("full", "locked")
        super().__init__(trouble_sentence(f"The job list {path}", trouble, reason))


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One picture on disk. `kind` is `image`, `grid`, or the suffix of an extra picture; sizes are in pixels.

    `cached` is true for pictures that are only to be returned: their file is deleted when the job's row is pruned.
    """

    index: int
    kind: str
    path: Path
    infotext: str
    seed: int
    subseed: int
    width: int
    height: int
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What a job took of the engine's time, in seconds, and of memory at most, where somebody looked."""

    seconds: float
    memory: MemoryPeak | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the queue: the request, what it was resolved to, and the outcome. Times are seconds since the epoch.

    `attempts` counts the engines that died while they ran this job. `task_id` is the client's own name for it; the jobs
    of a batch share one. `client` is the browser that sent it, or `api`; `user` the name of its login.
    """

    id: str
    state: JobState
    request: GenerationRequest
    resolved: ResolvedRequest
    images: tuple[SavedImage, ...] = ()
    cause: str | None = None
    notices: tuple[str, ...] = ()
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    client: str | None = None
    user: str | None = None
    task_id: str | None = None
    save: bool = True
    spent: Spent | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Tally:
    """How the jobs of a batch stand: their number by state, and the pictures they have made so far.

    `failed` are the file and the cause of the first that failed; `notices` those of all, each once.
    """

    states: Mapping[JobState, int]
    images: int
    failed: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return sum(self.states.values())

    @property
    def ended(self) -> int:
        return sum(number for state, number in self.states.items() if state in ENDED)


Stopping = Literal["", "after_image", "now"]


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is. `position` is 0 for the running job, 1 for the next one, None once it has ended.

    `fraction` is the share of the whole job, 0..1; `preview_serial` grows with every new preview of the job. `stopping`
    is how it was interrupted: at once ("now"), or when the picture under way is done ("after_image").
    """

    job_id: str
    state: JobState
    position: int | None = None
    fraction: float = 0.0
    step: int = 0
    steps: int = 0
    batch: int = 0
    eta_seconds: float | None = None
    preview: bytes | None = None
    preview_mime: str | None = None
    preview_serial: int = 0
    stopping: Stopping = ""
    images: tuple[SavedImage, ...] = ()
    cause: str | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How the engine is, with one sentence for the page. `width` and `height`: the checkpoint's native size.

    `facts` is what the engine last reported of device, memory and attention; None before its first report.
    """

    state: EngineState
    sentence: str
    checkpoint_title: str | None = None
    hardware: str | None = None
    pid: int | None = None
    width: int | None = None
    height: int | None = None
    facts: MachineFacts | None = None


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job was accepted, moved, started, put back, or has ended. Carries the row as it is now."""

    job: Job


@dataclass(frozen=True, slots=True)
class ImageSaved:
    """A picture of a job is on disk and in its row."""

    image: SavedImage


@dataclass(frozen=True, slots=True)
class EngineChanged:
    """The engine started, loads, is ready, or died."""

    status: EngineStatus


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """The order of the waiting jobs, or the set of rows, is another one now."""
