"""Engines behind the door that the server uses, one fixture for all of them.

A new engine is added to `ENGINES` with what launches it; every test of this folder then runs against it.
"""

from __future__ import annotations

import queue
import random
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from modules.jobs.engine_process import EngineEnded, EngineHandle, EngineNews, EngineProcess, EngineSaid, Launch
from modules.parameters import parse_request, resolve
from modules.protocol import CheckpointFile, RunJob
from modules.protocol.messages import Message
from tests.checkpoints import truncate, write_tiny_checkpoint


def _read_all(output: IO[bytes]) -> None:
    with output:
        for _ in output:
            pass


def _child(*command: str) -> Launch:
    def launch(number: int, post: Callable[[EngineNews], None]) -> EngineHandle:
        return EngineProcess(number, post, [sys.executable, "-m", *command], _read_all)

    return launch


ENGINES: dict[str, Launch] = {
    "fake": _child("tests.jobs.fake_engine"),
    "real": _child("modules.engine", "--use-cpu", "all", "--no-half"),
}


class Conversation:
    """The server's end of the line to one engine."""

    def __init__(self, launch: Launch) -> None:
        self._news: queue.Queue[EngineNews] = queue.Queue()
        self._ended = threading.Event()
        self._handle = launch(1, self._news.put)

    def send(self, *commands: Message) -> None:
        for command in commands:
            self._handle.send(command)

    def until(self, *kinds: type[Message]) -> list[Message]:
        """Every event up to and with the first of one of these kinds."""
        seen: list[Message] = []
        while not (seen and isinstance(seen[-1], kinds)):
            news = self._news.get(timeout=120)
            assert isinstance(news, EngineSaid), news
            seen.append(news.event)
        return seen

    def end(self) -> str:
        """Wait for the end of the engine; how it came about, in words."""
        while not isinstance(news := self._news.get(timeout=60), EngineEnded):
            pass
        return news.cause

    def close(self) -> None:
        self._handle.close(30)


@pytest.fixture(scope="session", params=ENGINES)
def launch(request: pytest.FixtureRequest, forked_engines: None) -> Launch:
    return ENGINES[request.param]


@pytest.fixture(scope="session")
def engine(launch: Launch) -> Iterator[Conversation]:
    """One engine for all tests: each leaves it without work."""
    conversation = Conversation(launch)
    yield conversation
    conversation.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def checkpoint(folder: Path) -> CheckpointFile:
    return checkpoint_at(write_tiny_checkpoint(folder / "good.safetensors"))


@pytest.fixture(scope="session")
def other(folder: Path) -> CheckpointFile:
    return checkpoint_at(write_tiny_checkpoint(folder / "other.safetensors", seed=2))


@pytest.fixture(scope="session")
def broken(folder: Path) -> CheckpointFile:
    path = write_tiny_checkpoint(folder / "bad.safetensors")
    truncate(path)
    return checkpoint_at(path)


def checkpoint_at(path: Path) -> CheckpointFile:
    return CheckpointFile(path=str(path), title=path.name, name=path.name)


def job(checkpoint: CheckpointFile, job_id: str, *, slow: bool = False, **values: object) -> RunJob:
    """A job of small pictures; a slow one takes seconds for each of them, in every engine."""
    wanted = {
        "prompt": "sized slow" if slow else "sized",
        "steps": 60 if slow else 4,
        "width": 64,
        "height": 64,
        "seed": 7,
        "sampler_name": "Euler",
    }
    options: dict[str, Any] = {
        "randn_source": "CPU",
        "live_preview_refresh_period": 0,
        "show_progress_every_n_steps": 1,
    }
    resolved = resolve(parse_request(wanted | values), options=options, rng=random.Random(0))
    return RunJob(job_id=job_id, resolved=resolved, checkpoint=checkpoint)
