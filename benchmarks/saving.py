"""What saving costs: a batch of 8 small pictures over the API with saving on and off, server and engine together.

    python -m benchmarks.saving --rounds 3

A real server with the demo checkpoint. The two kinds of job take turns; their CPU seconds are compared, since the clock
of a busy machine scatters more than saving costs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from modules.settings import REPOSITORY
from tests.server.server import Server

DEMO = REPOSITORY / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"
JOB = {"prompt": "a red circle", "width": 128, "height": 128, "steps": 10, "batch_size": 8, "seed": 1}


def cpu_seconds(server: Server) -> float:
    """CPU seconds of the server and its engine so far."""
    assert server.process is not None
    family = [psutil.Process(server.process.pid)]
    family += family[0].children(recursive=True)
    return float(sum(times.user + times.system for times in (one.cpu_times() for one in family)))


def measured(server: Server, client: httpx.Client, *, save: bool) -> tuple[float, float]:
    """(seconds by the clock, CPU seconds) of one batch."""
    wall, cpu = time.perf_counter(), cpu_seconds(server)
    client.post("/sdapi/v1/txt2img", json=JOB | {"save_images": save}).raise_for_status()
    return time.perf_counter() - wall, cpu_seconds(server) - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        models = data / "models" / "Stable-diffusion"
        models.mkdir(parents=True)
        shutil.copy(DEMO, models)
        with Server(data, module="modules.server") as server, httpx.Client(base_url=server.url, timeout=3600) as client:
            measured(server, client, save=True)
            pairs = [(measured(server, client, save=True), measured(server, client, save=False)) for _ in range(rounds)]
            saved = sum(1 for path in data.rglob("outputs/**/*.png"))
    print(f"load average {os.getloadavg()[0]:.1f}, {saved} files saved")
    print("| 8 pictures of 128² | wall s | CPU s |\n|---|---|---|")
    for name, index in (("saved", 0), ("not saved", 1)):
        print(f"| {name} | {statistics.median(p[index][0] for p in pairs):.2f} | "
              f"{statistics.median(p[index][1] for p in pairs):.2f} |")  # fmt: skip
    print(f"CPU, saved / not saved: {statistics.median(on[1] / off[1] for on, off in pairs):.3f}")


if __name__ == "__main__":
    main()
