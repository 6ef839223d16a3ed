"""How long /sdapi/v1/progress takes while jobs run and while a checkpoint loads, under many clients at once.

    python -m benchmarks.api_progress --clients 32 --jobs 20 [--engine fake]

Starts a server of its own with a random checkpoint of SD 1.5's size for the loads, or with an engine that draws nothing
(`--engine fake`), which leaves the server's own share. Checks that each answer is its own request's. The crowd runs in
a process of its own: on threads beside the one that measures, its own waiting would be measured. Prints lines
for the table of docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.server.server import Server

SMALL = {"width": 64, "height": 64, "steps": 2, "cfg_scale": 7}
PAUSE = 0.01
FLAGS = ("--use-cpu", "all")


class Prober:
    """Asks for progress again and again from a thread of its own, and keeps the seconds of each answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._stop.is_set():
                began = time.perf_counter()
                client.get("/sdapi/v1/progress").raise_for_status()
                self.seconds.append(time.perf_counter() - began)
                time.sleep(PAUSE)

    @contextmanager
    def probing(self) -> Iterator[None]:
        self.seconds.clear()
        self._stop.clear()
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def line(self, what: str) -> str:
        ordered = sorted(self.seconds)
        at = [f"{1000 * ordered[int(share * (len(ordered) - 1))]:.1f}" for share in (0.5, 0.95, 0.99, 1.0)]
        return f"| {what} | {len(ordered)} | {' | '.join(at)} |"


def cpu_of_one(server: Server, count: int = 1000) -> float:
    """Milliseconds of CPU time that the server spends on one answer, however busy the machine is; nothing else runs."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        client.get("/sdapi/v1/progress").raise_for_status()
        before = server.cpu_seconds()
        for _ in range(count):
            client.get("/sdapi/v1/progress")
        return 1000 * (server.cpu_seconds() - before) / count


def own_answers(url: str, clients: int, jobs: int) -> int:
    """`clients` at once, `jobs` calls each; returns how many answers carried another request's prompt or seed."""

    def one_client(client: int) -> int:
        wrong = 0
        with httpx.Client(base_url=url, timeout=600) as line:
            for job in range(jobs):
                prompt, seed = f"client {client} job {job}", client * 1000 + job
                answer = line.post("/sdapi/v1/txt2img", json=SMALL | {"prompt": prompt, "seed": seed}).json()
                info = json.loads(answer["info"])
                infotext = info["infotexts"][0]
                wrong += not (info["seed"] == seed and infotext.startswith(prompt) and f"Seed: {seed}" in infotext)
        return wrong

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(one_client, range(clients)))


def switch_checkpoints(url: str, times: int) -> None:
    """Choose two checkpoints in turn, a small job each, so that every time one is loaded."""
    with httpx.Client(base_url=url, timeout=600) as client:
        titles = [item["title"] for item in client.get("/sdapi/v1/sd-models").json()]
        for number in range(times):
            override = {"sd_model_checkpoint": titles[number % len(titles)]}
            body = SMALL | {"steps": 1, "prompt": "x", "override_settings": override}
            client.post("/sdapi/v1/txt2img", json=body).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--loads", type=int, default=6)
    parser.add_argument("--engine", choices=("real", "fake"), default="real")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        if arguments.engine == "real":
            _write_checkpoints(data / "models" / "Stable-diffusion")
        module = "modules.server" if arguments.engine == "real" else "tests.server.fake_engine_server"
        with multiprocessing.get_context("spawn").Pool(1) as crowd, Server(data, *FLAGS, module=module) as server:
            prober = Prober(server.url)
            print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
            print("| progress meanwhile | answers | p50 ms | p95 ms | p99 ms | most ms |")
            print("|---|---|---|---|---|---|")
            with prober.probing():
                time.sleep(3)
            print(prober.line("nothing runs"))
            cpu = cpu_of_one(server)
            with prober.probing():
                wrong = crowd.apply(own_answers, (server.url, arguments.clients, arguments.jobs))
            print(prober.line(f"{arguments.clients} clients x {arguments.jobs} jobs, {wrong} answers mixed up"))
            with prober.probing():
                crowd.apply(switch_checkpoints, (server.url, arguments.loads))
            print(prober.line(f"{arguments.loads} checkpoint loads"))
            print(f"CPU time of the server for one answer: {cpu:.2f} ms; load average {os.getloadavg()[0]:.1f}")


def _write_checkpoints(folder: Path) -> None:
    from tests.checkpoints import write_sd15_size_checkpoint, write_tiny_checkpoint

    write_tiny_checkpoint(folder / "a-tiny.safetensors")
    write_sd15_size_checkpoint(folder / "large.safetensors")


if __name__ == "__main__":
    main()
