"""What the tests of the queue share: a service on a temporary folder with the fake engine, in-process or as a child."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from modules.files import write_atomic
from modules.jobs import Job, JobService
from modules.jobs.access import Sharing
from modules.jobs.collaborators import Collaborators, Limits
from modules.jobs.database import prepare
from modules.jobs.engine_log import EngineLog
from modules.jobs.engine_process import EngineEnded, EngineNews, EngineProcess, EngineSaid, Launch
from modules.jobs.inputs import InputStore
from modules.jobs.store import JobStore
from modules.jobs.supervisor import Patience
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest, resolve
from modules.protocol import CheckpointFile, ImageReady
from modules.protocol.messages import Message
from tests.jobs.fake_engine import Died, FakeEngine

QUICK = Patience(startup=20.0, silence=5.0, pauses=(0.0, 0.01, 0.02), farewell=2.0)
# How long what must come may take where a dozen other processes want the same two cores.
PATIENCE = 60.0
ROOT = Path(__file__).resolve().parents[2]


def resolved(request: GenerationRequest, seed: int = 1) -> ResolvedRequest:
    checkpoint = request.override_settings.get("sd_model_checkpoint", "good.safetensors")
    return resolve(request, options={}, rng=random.Random(seed), checkpoint=str(checkpoint))


def checkpoint_named(title: str | None) -> CheckpointFile:
    title = title or "good.safetensors"
    if title.startswith("missing"):
        raise RequestError(f"There is no checkpoint {title}.")
    return CheckpointFile(path=f"/models/{title}", title=title, name=title.removesuffix(".safetensors"))


class FolderPictureStore:
    """The least that the gallery does: numbered names, whole files or none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fail_with: Exception | None = None
        self.before_write: Callable[[Path], None] = lambda path: None

    def place(self, job: Job, image: ImageReady, taken: Collection[Path] = ()) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name[:5]) for path in self.folder.glob("[0-9]*.*") if path.name[:5].isdigit()]
        return self.folder / f"{max(numbers, default=-1) + 1:05d}-{image.seed}.{image.extension}"

    def write(self, path: Path, job: Job, image: ImageReady) -> Path:
        self.before_write(path)
        if self.fail_with is not None:
            raise self.fail_with
        write_atomic(path, image.blobs[0])
        return path

    def release(self, path: Path) -> None:
        pass


class InProcessEngine:
    """A fake engine on a thread; `kill` ends it between two steps as SIGKILL would."""

    pid = None

    def __init__(self, number: int, post: Callable[[EngineNews], None]) -> None:
        self._number, self._post = number, post
        self._killed = threading.Event()
        self.engine = FakeEngine(self._emit, self._die)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _emit(self, event: Message) -> None:
        self._die("wait")
        self._post(EngineSaid(self._number, event))

    def _die(self, how: str) -> None:
        if how == "exit":
            raise Died("it ended with exit code 3")
        if how == "kill" or self._killed.is_set():
            raise Died("it was killed (out of memory?)")

    def _run(self) -> None:
        cause = "it ended by itself"
        try:
            self.engine.run()
            self._die("wait")
        except Died as died:
            cause = str(died)
        self._post(EngineEnded(self._number, cause))

    def send(self, command: Message) -> None:
        self.engine.receive(command)

    def kill(self) -> None:
        self._killed.set()
        self.engine.receive(None)

    def close(self, timeout: float) -> None:
        self.kill()
        self._thread.join(timeout)


@dataclass
class House:
    """A service, and everything in it that a test may want to look at or break."""

    folder: Path
    launch: Launch | None = None
    limits: Limits = field(default_factory=Limits)
    patience: Patience = QUICK
    sharing: Callable[[], Sharing] = lambda: "everybody"
    engines: list[InProcessEngine] = field(default_factory=list)
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        database = self.folder / "webui.db"
        self.notices = prepare(database)
        self.store = JobStore(database)
        self.picture_store = FolderPictureStore(self.folder / "outputs")
        self.inputs = InputStore(self.folder / "inputs")
        self.log = EngineLog(self.folder / "log")
        self.jobs = JobService(
            self.store,
            self.inputs,
            Collaborators(
                resolve=resolved,
                checkpoint_of=lambda one: checkpoint_named(one.checkpoint),
                checkpoint_named=checkpoint_named,
                sharing=self.sharing,
                picture_store=self.picture_store,
                launch=self.launch or self._launch,
                engine_tail=self.log.tail,
            ),
            limits=lambda: self.limits,
            patience=self.patience,
        )

    def _launch(self, number: int, post: Callable[[EngineNews], None]) -> InProcessEngine:
        engine = InProcessEngine(number, post)
        self.engines.append(engine)
        return engine

    def __enter__(self) -> House:
        self.jobs.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.jobs.close()
        self.log.close()

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.picture_store.folder.glob("*") if path.is_file())


def child(folder: Path, log: EngineLog) -> Launch:
    """Launch the fake engine as a process of its own."""

    def launch(number: int, post: Callable[[EngineNews], None]) -> EngineProcess:
        return EngineProcess(number, post, [sys.executable, "-m", "tests.jobs.fake_engine"], log.copy)

    return launch


def eventually(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


Found = TypeVar("Found")


def present(value: Found | None) -> Found:
    """The value, which must be there: a row of the queue, or how far a job is."""
    assert value is not None
    return value
