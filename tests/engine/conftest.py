"""A real engine process, spoken to over its line as the server does."""

from __future__ import annotations

import os
import queue
import random
import secrets
import socket
import threading
from collections.abc import Iterator
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import pytest

from modules.parameters import GenerationRequest, parse_request, resolve
from modules.parameters.load_options import LoadOptions
from modules.protocol import CheckpointFile, RunJob, Shutdown, decode, encode
from modules.protocol.messages import Message
from modules.settings.groups import read_options
from tests.checkpoints import write_tiny_checkpoint
from tests.server.forked import start_module


class RunningEngine:
    """The server's end: commands out, events into a queue."""

    def __init__(self, *flags: str) -> None:
        key = secrets.token_bytes(16)
        listener = Listener(("127.0.0.1", 0), authkey=key)
        host, port = listener.address
        environment = os.environ | {"WEBUI_ENGINE_AUTHKEY": key.hex(), "COMMANDLINE_ARGS": ""}
        self.process = start_module("modules.engine", [*flags, f"{host}:{port}"], environment)
        self.connection = listener.accept()
        listener.close()
        self.events: queue.Queue[Message] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while True:
                self.events.put(decode(self.connection.recv_bytes()))
        except (EOFError, OSError):
            return

    def send(self, command: Message) -> None:
        self.connection.send_bytes(encode(command))

    def until(self, *kinds: type[Message], timeout: float = 120) -> list[Any]:
        """Every event up to and with the first of one of these kinds, each with the fields of its kind."""
        seen: list[Message] = []
        while not (seen and isinstance(seen[-1], kinds)):
            seen.append(self.events.get(timeout=timeout))
        return seen

    def hang_up(self) -> None:
        """End the line as the system does when a server dies. Closing it under the reader would break the reader."""
        with socket.socket(fileno=os.dup(self.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        if self.process.poll() is None:
            self.send(Shutdown())
        self.process.wait(30)
        self.connection.close()
        self._reader.join(10)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFile:
    path = write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors")
    return CheckpointFile(path=str(path), title="tiny.safetensors", name="tiny.safetensors")


@pytest.fixture(scope="module")
def engine() -> Iterator[RunningEngine]:
    running = RunningEngine("--use-cpu", "all", "--no-half")
    yield running
    running.end()


def job(checkpoint: CheckpointFile, job_id: str, *, options: dict[str, Any] | None = None, **values: object) -> RunJob:
    """A job of this id for this checkpoint; what is not said is small and quick."""
    defaults = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 4, "seed": 7, "sampler_name": "Euler"}
    request: GenerationRequest = parse_request(defaults | values)
    resolved = resolve(request, options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0))
    return RunJob(job_id=job_id, resolved=resolved, checkpoint=checkpoint)


def checkpoint_at(path: Path, options: dict[str, Any] | None = None) -> CheckpointFile:
    return CheckpointFile(
        path=str(path), title=path.name, name=path.name, load_options=read_options(LoadOptions, options or {})
    )
