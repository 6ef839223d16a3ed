"""A running server as its clients see it, and the few things of its machine that tests look at or break."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from tests.server.server import Server

FLAGS: Final = ("--use-cpu", "all", "--no-half")
SMALL: Final = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 7, "save_images": True}
# A busy machine imports torch for half a minute.
PATIENCE: Final = 150.0
# Else httpx reads the certificates of all authorities for each call: a tenth of a second of a processor.
NO_TLS: Final = False


class House:
    """Jobs by our own calls, so that a failure is a row to look at and not an error to catch."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.models = server.data_dir / "models" / "Stable-diffusion"
        self.outputs = server.data_dir / "outputs"

    def post(self, path: str, **body: Any) -> httpx.Response:
        return httpx.post(self.server.url + path, json=body, timeout=PATIENCE, verify=NO_TLS)

    def get(self, path: str) -> Any:
        answer = httpx.get(self.server.url + path, timeout=PATIENCE, verify=NO_TLS)
        answer.raise_for_status()
        return answer.json()

    def ask(self, **fields: Any) -> str:
        """Queue a small picture; returns the job's id."""
        answer = self.post("/v1/jobs/txt2img", **SMALL | fields)
        assert answer.status_code == 202, answer.text
        identity: str = answer.json()["id"]
        return identity

    def job(self, identity: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/jobs/{identity}")
        return found

    def ended(self, identity: str) -> dict[str, Any]:
        """The job once it has ended."""
        self.until(lambda: self.job(identity)["state"] not in {"waiting", "running"})
        return self.job(identity)

    def made(self, **fields: Any) -> dict[str, Any]:
        return self.ended(self.ask(**fields))

    def works(self) -> None:
        """The server and its engine make a picture."""
        job = self.made(override_settings={"sd_model_checkpoint": "good.safetensors"})
        assert (job["state"], job["cause"]) == ("finished", None)

    def picture(self, identity: str, number: int = 0) -> bytes:
        answer = httpx.get(f"{self.server.url}/v1/jobs/{identity}/images/{number}", timeout=PATIENCE, verify=NO_TLS)
        assert answer.status_code == 200, answer.text
        return answer.content

    def engine(self) -> dict[str, Any]:
        """How the engine is, as the page shows it."""
        line: dict[str, Any] = self.get("/internal/page?client=test")["engine"]
        return line

    def engine_pid(self) -> int:
        """The process that runs `modules.engine` for this server."""
        assert self.server.process is not None
        tasks = Path(f"/proc/{self.server.process.pid}/task").glob("*/children")
        children = [int(pid) for task in tasks for pid in task.read_text().split()]
        # A forked engine has its name instead of a command line (tests/server/forked_children.py).
        (engine,) = [
            pid
            for pid in children
            if any(b"modules.engine" in Path(f"/proc/{pid}/{file}").read_bytes() for file in ("comm", "cmdline"))
        ]
        return engine

    def kill_engine(self) -> int:
        """As the kernel does it when memory runs out; returns the process that it was."""
        pid = self.engine_pid()
        os.kill(pid, signal.SIGKILL)
        return pid

    def step(self, identity: str) -> int:
        progress = self.job(identity)["progress"]
        return progress["step"] if progress else 0

    def until(self, true: Callable[[], object], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"it did not come true in time:\n{self.log()[-4000:]}"
            time.sleep(0.02)

    def log(self) -> str:
        """What the server said, and what its engine said."""
        files = [self.server.log, *sorted((self.server.data_dir / "log").glob("*"))]
        return "\n".join(file.read_text("utf-8", errors="replace") for file in files)


def one_sentence(text: str | None) -> bool:
    """Whether this can be shown to a person: not empty, one line, ended, and no traceback."""
    return (
        text is not None
        and bool(text)
        and "\n" not in text.strip()
        and text.strip()[-1] in ".!"
        and "Traceback" not in text
    )
