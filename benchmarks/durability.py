"""SIGKILL at random moments of a stream of jobs: the engine, the server, or both. Nothing may be lost, torn or doubled.

    python -m benchmarks.durability --kills 200 [--engine fake] [--seed 1]

Starts the server that people get on a folder of its own, with the demo checkpoint in small (`--engine fake`: an engine
that draws noise and needs no torch), kills, and lets it calm down. Then every accepted job must be finished with each
of its pictures once, or failed with a cause; every picture must have the bytes that a server that nobody disturbs gives
for the same request; and rows and files must be the same set. Prints a line for the table of docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from modules.pictures.opening import open_picture
from modules.settings import REPOSITORY
from tests.server.server import Server

DEMO: Final = REPOSITORY / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"
MODULES: Final = {"real": "modules.server", "fake": "tests.server.fake_engine_server"}
# The page gets no requests here, and building it is most of a start.
FLAGS: Final = ("--use-cpu", "all", "--no-half", "--nowebui")
PROMPTS: Final = ("a red apple on a blue background", "a brisk rocket in space")
# As many different requests as are drawn a second time in peace, to compare the bytes.
REQUESTS: Final = 12
CALM_SECONDS: Final = 900.0
# Who runs a job for so long, or is at work on its start, is struck in the middle of it.
MOMENT: Final = 0.6


def requests_of(chance: random.Random) -> list[dict[str, Any]]:
    """The requests of a run: small, with their seeds, single pictures and several."""
    return [
        {
            "prompt": chance.choice(PROMPTS),
            "seed": chance.randrange(2**32),
            "width": 64,
            "height": 64,
            "steps": 2,
            "n_iter": chance.randint(1, 3),
            "batch_size": chance.randint(1, 2),
            "save_images": True,
        }
        for _ in range(REQUESTS)
    ]


@contextmanager
def house(folder: Path, engine: str) -> Iterator[Server]:
    """A server on `folder`, ended with its engine."""
    models = folder / "models" / "Stable-diffusion"
    models.mkdir(parents=True)
    if engine == "real":
        (models / DEMO.name).symlink_to(DEMO)
    with Server(folder, *FLAGS, module=MODULES[engine]) as server:
        yield server


def ask(server: Server, request: dict[str, Any]) -> str:
    """Queue a job; returns its id."""
    headers = {"Content-Type": "application/json"}
    status, _, answer = server.request("POST", "/v1/jobs/txt2img", headers, json.dumps(request).encode())
    assert status == 202, answer
    identity: str = json.loads(answer)["id"]
    return identity


@dataclass
class Storm:
    """Submits, kills, and remembers what was accepted."""

    server: Server
    chance: random.Random
    requests: list[dict[str, Any]]
    accepted: dict[str, int] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    engines: set[int] = field(default_factory=set)

    def jobs(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.json(f"/v1/jobs?limit=1000{query}")
        return found

    def left(self) -> int:
        return sum(len(self.jobs(f"&state={state}")) for state in ("waiting", "running"))

    def submit(self) -> None:
        number = self.chance.randrange(len(self.requests))
        self.accepted[ask(self.server, self.requests[number])] = number

    def engine(self) -> psutil.Process | None:
        assert self.server.process is not None
        with suppress(psutil.Error):
            for child in psutil.Process(self.server.process.pid).children():
                if any("engine" in word for word in child.cmdline()):
                    self.engines.add(child.pid)
                    return child
        return None

    def blow(self) -> None:
        """A few jobs, a moment, one kill."""
        # A machine that is busy with other things makes fewer jobs than are killed: the queue would only grow.
        for _ in range(self.chance.randint(1, 3) if self.left() < 10 else 0):
            self.submit()
        # Mostly the engine is at work when it is struck; now and then it is still being started.
        deadline = time.monotonic() + (60 if self.chance.random() < 0.8 else self.chance.uniform(0, 3))
        while time.monotonic() < deadline and not self.jobs("&state=running"):
            time.sleep(0.02)
        time.sleep(self.chance.uniform(0, MOMENT))
        target = self.chance.choice(("engine", "server", "both"))
        engine = self.engine()
        if engine is not None and target != "server":
            with suppress(psutil.Error):
                engine.send_signal(signal.SIGKILL)
        if target != "engine":
            self.server.kill()
            self.server.start()
        self.kills[target] += 1

    def calm(self) -> None:
        """Wait for every job's end."""
        deadline = time.monotonic() + CALM_SECONDS
        while self.left():
            assert time.monotonic() < deadline, self.server.log.read_text()[-3000:]
            time.sleep(0.2)


def pictures(server: Server, job: dict[str, Any]) -> dict[tuple[str, int], bytes]:
    """The files of a job by kind and number, as the server serves them."""
    found = {}
    for place, image in enumerate(job["images"]):
        status, _, data = server.request("GET", f"/v1/jobs/{job['id']}/images/{place}")
        assert status == 200, (job["id"], place, data)
        open_picture(data, f"Picture {place} of job {job['id']}")
        assert (image["kind"], image["index"]) not in found, "a picture is there twice"
        found[image["kind"], image["index"]] = data
    return found


def undisturbed(folder: Path, engine: str, requests: list[dict[str, Any]]) -> list[dict[tuple[str, int], bytes]]:
    """What each request gives on a server that nobody kills."""
    with house(folder, engine) as server:
        ids = [ask(server, one) for one in requests]
        made = []
        for identity in ids:
            while (job := server.json(f"/v1/jobs/{identity}"))["state"] in ("waiting", "running"):
                time.sleep(0.05)
            assert job["state"] == "finished", job["cause"]
            made.append(pictures(server, job))
        return made


def check(storm: Storm, expected: list[dict[tuple[str, int], bytes]]) -> dict[str, int]:
    """Hold what came of the storm against what was promised; raises AssertionError. Returns how the jobs ended."""
    jobs = {job["id"]: job for job in storm.jobs("")}
    assert set(storm.accepted) <= set(jobs), "an accepted job is lost"
    by_seed = {one["seed"]: number for number, one in enumerate(storm.requests)}
    for job in jobs.values():
        # An answer may have been lost with its server; then the job is there, and by its seed it is known which it was.
        wanted = expected[by_seed[job["seeds"][0]]]
        made = pictures(storm.server, job)
        assert all(wanted[key] == data for key, data in made.items()), f"{job['id']} has other bytes"
        if job["state"] == "finished":
            assert set(made) == set(wanted), f"{job['id']} is finished without all of its pictures"
        else:
            assert job["state"] == "failed" and "ended" in job["cause"], (job["state"], job["cause"])
    outputs = storm.server.data_dir / "outputs"
    files = sorted(path for path in outputs.rglob("*") if path.is_file())
    assert len(files) == sum(len(job["images"]) for job in jobs.values()), "folder and index differ"
    data = Counter(path.read_bytes() for path in files)
    assert data == Counter(one for job in jobs.values() for one in pictures(storm.server, job).values())
    return dict(Counter(job["state"] for job in jobs.values())) | {"pictures": len(files)}


def run(folder: Path, engine: str, kills: int, seed: int) -> str:
    """One storm; returns a sentence with its figures."""
    chance = random.Random(seed)
    requests = requests_of(chance)
    expected = undisturbed(folder / "calm", engine, requests)
    with house(folder / "storm", engine) as server:
        storm = Storm(server, chance, requests)
        for _ in range(kills):
            storm.blow()
        storm.calm()
        ended = check(storm, expected)
        server.stop()
    assert not any(psutil.pid_exists(pid) and _is_engine(pid) for pid in storm.engines), "an engine outlived its server"
    return (
        f"{kills} kills {dict(storm.kills)}: {len(storm.accepted)} jobs accepted, {ended}, seed {seed}, {engine} engine"
    )


def _is_engine(pid: int) -> bool:
    with suppress(psutil.Error):
        return any("engine" in word for word in psutil.Process(pid).cmdline())
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--engine", choices=sorted(MODULES), default="real")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        outcome = run(Path(folder), arguments.engine, arguments.kills, arguments.seed)
        print(f"{outcome}; {time.monotonic() - began:.0f} s at a load average of {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
