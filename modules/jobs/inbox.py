"""What can be left for the queue's thread to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modules.jobs.engine_process import EngineEnded, EngineSaid
from modules.protocol import CheckpointFile, EncodePictures, EncodeText, Meanings


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Interrupt the running job, if it is still `job_id`."""

    job_id: str
    after_image: bool


@dataclass(frozen=True, slots=True)
class SkipRequest:
    """Leave the batch that is being made, if the running job is still `job_id`."""

    job_id: str


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """Load a checkpoint before a job needs it; None gives the loaded one's memory back."""

    checkpoint: CheckpointFile | None


@dataclass(frozen=True, slots=True)
class Question:
    """Ask the engine something that is no job. `answer` is called once: with None where it can't be answered now."""

    command: EncodePictures | EncodeText
    answer: Callable[[Meanings | None], None]


@dataclass(frozen=True, slots=True)
class Look:
    """The queue has changed: see whether a job can start."""


@dataclass(frozen=True, slots=True)
class Close:
    """Put the running job back for the next start of the server, end the engine, and stop."""


InboxItem = EngineSaid | EngineEnded | StopRequest | SkipRequest | LoadRequest | Question | Look | Close
