"""SIGKILL at random moments: the engine, the server, or both, under a stream of jobs. Nothing is lost, nothing is torn.

A few kills, 200 in the long suite. The seed of a run is in its first line of output.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from modules.jobs import Job
from modules.jobs.database import connect
from modules.jobs.store import JobStore
from tests.amounts import amount
from tests.jobs.fake_engine import picture
from tests.jobs.helpers import ROOT

KILLS = amount(3, 200)
SEED = int(os.environ.get("JOBS_KILL_SEED", "20261121"))

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(60 + 6 * KILLS),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
]


class Server:
    """A server process and the line to it."""

    def __init__(self, folder: Path) -> None:
        with (folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.jobs.kill_server", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def ask(self, question: object) -> object:
        """The answer, or None when the server is gone."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(question).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:
            return None
        return json.loads(line) if line.endswith(b"\n") else None

    def kill(self) -> None:
        self.process.kill()
        self.gone()

    def gone(self) -> None:
        self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()


class Storm:
    """Starts servers, submits jobs, kills, and remembers which jobs were accepted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.random = random.Random(SEED)
        self.accepted: dict[str, int] = {}
        self.engines: set[int] = set()
        self.kills = {"engine": 0, "server": 0, "both": 0}
        self.server = Server(folder)

    def submit(self) -> None:
        seed = self.random.randrange(2**32)
        request = {
            "prompt": self.random.choice(["a brisk cat", "two dogs", "brisk slow twice"]),
            "seed": seed,
            "steps": self.random.randint(1, 8),
            "n_iter": self.random.randint(1, 3),
            "batch_size": self.random.randint(1, 2),
        }
        job_id = self.server.ask({"submit": request})
        if job_id is not None:
            self.accepted[str(job_id)] = seed

    def blow(self) -> None:
        """A few jobs, a moment, and one kill."""
        left = self.server.ask("left")
        # A machine that is busy with other things makes fewer jobs than are killed: the queue would only grow.
        for _ in range(self.random.randint(1, 3) if isinstance(left, int) and left < 10 else 0):
            self.submit()
        engine = self.server.ask("engine")
        time.sleep(self.random.uniform(0, 1.2))
        engine = self.server.ask("engine") or engine
        target = self.random.choice(["engine", "server", "both"])
        if isinstance(engine, int):
            self.engines.add(engine)
            if target != "server":
                with suppress(ProcessLookupError):
                    os.kill(engine, signal.SIGKILL)
        if target != "engine":
            self.server.kill()
            self.server = Server(self.folder)
        self.kills[target] += 1

    def calm(self, seconds: float) -> None:
        """Wait for every job's end, then close the server in good order."""
        deadline = time.monotonic() + seconds
        while self.server.ask("left") != 0:
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.1)
        self.server.ask("close")
        self.server.gone()


def alive(pid: int) -> bool:
    try:
        return "fake_engine" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def check_pictures(job: Job) -> None:
    """The pictures that a job has are exactly the ones its seeds give, byte for byte."""
    for image in job.images:
        assert image.seed == job.resolved.seeds[image.index]
        text = f"{job.request.prompt}\nSteps: {job.request.steps}, Seed: {image.seed}"
        assert image.path.read_bytes() == picture(image.seed, text=text)


def test_kills_lose_nothing_and_tear_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storm = Storm(tmp_path)
    for _ in range(KILLS):
        storm.blow()
    storm.calm(60 + KILLS)

    store = JobStore(tmp_path / "webui.db")
    jobs = {job.id: job for job in store.list(limit=100_000)}
    assert set(storm.accepted) <= set(jobs)
    for job in jobs.values():
        check_pictures(job)
        if job.state == "finished":
            assert [image.index for image in job.images] == list(range(job.resolved.image_count))
        else:
            assert (job.state, job.cause and "engine ended twice" in job.cause) == ("failed", True)
    for job_id, seed in storm.accepted.items():
        assert jobs[job_id].resolved.seeds[0] == seed

    rows = sorted(image.path for job in jobs.values() for image in job.images)
    files = sorted(path for path in (tmp_path / "outputs").rglob("*") if path.is_file())
    assert rows == files
    assert len(set(rows)) == len(rows)
    assert store.reserved() == []
    store.close()
    with_check = connect(tmp_path / "webui.db")
    assert with_check.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    with_check.close()
    assert not any(alive(pid) for pid in storm.engines)
    finished = sum(job.state == "finished" for job in jobs.values())
    with capsys.disabled():
        sys.stdout.write(
            f"\n[seed {SEED}] kills {storm.kills}: {len(storm.accepted)} accepted, {len(jobs)} rows,"
            f" {finished} finished, {len(jobs) - finished} failed with a cause, {len(files)} pictures\n"
        )
