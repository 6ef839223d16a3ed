"""What the queue needs of other rooms, and how much it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modules.jobs.access import Sharing
from modules.jobs.engine_process import Launch
from modules.jobs.job import Job
from modules.jobs.saving import PictureStore
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest
from modules.parameters.merger_request import MergerRequest
from modules.prompt import NetworkKind
from modules.protocol import CheckpointFile, MergerFiles, NetworkFile


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the queue holds."""

    waiting: int = 1000
    """Jobs that may wait; the next one is refused with a sentence."""
    ended: int = 10_000
    """Ended jobs that are remembered; older rows are deleted, their saved pictures stay."""
    server_deaths: int = 10
    """Servers that may end while they run one job before it fails: it may be what ends them."""


def _no_merger(request: MergerRequest) -> MergerFiles:
    raise RequestError("Nothing can be merged here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collaborators:
    """What the queue needs of other rooms, as functions, so that tests can do without those rooms."""

    resolve: Callable[[GenerationRequest], ResolvedRequest]
    """What applies for a request. Raises RequestError with a sentence."""
    checkpoint_of: Callable[[ResolvedRequest], CheckpointFile]
    """The file a job runs with, looked up when it starts. Raises RequestError with a sentence."""
    hires_checkpoint_of: Callable[[ResolvedRequest], CheckpointFile | None] = lambda resolved: None
    """The file of its hires pass, where that is another one. Raises RequestError with a sentence."""
    refiner_of: Callable[[ResolvedRequest], CheckpointFile | None] = lambda resolved: None
    """The file of its refiner, if it has one. Raises RequestError with a sentence."""
    networks_of: Callable[[ResolvedRequest], dict[NetworkKind, dict[str, NetworkFile]]] = lambda resolved: {}
    """The files of the extra networks that its prompts name, by kind and name, as far as they are there."""
    feature_files: Callable[[ResolvedRequest], dict[str, str]] = lambda resolved: {}
    """The paths of the model files that its features name, by "kind/name", as far as they are there."""
    merger_files: Callable[[MergerRequest], MergerFiles] = _no_merger
    """What a job of the Checkpoint Merger reads and writes. Raises RequestError with a sentence."""
    after_run: Callable[[Job], None] = lambda job: None
    """Called when a job is no longer under way, however that came, before its end is written and announced."""
    checkpoint_named: Callable[[str | None], CheckpointFile]
    """The file behind a title, or behind the present option. Raises RequestError with a sentence."""
    title_now: Callable[[str], str] = str
    """A checkpoint's title as the lists have it now; the engine knows it as of the time it was loaded."""
    keeps_pictures: Callable[[], bool] = lambda: True
    """Whether pictures are saved at all; else they are only returned."""
    sharing: Callable[[], Sharing] = lambda: "everybody"
    """Among whom jobs are shared, by flags and settings."""
    picture_store: PictureStore
    launch: Launch
    engine_tail: Callable[[], tuple[str, ...]] = tuple
