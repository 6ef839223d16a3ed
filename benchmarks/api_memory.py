"""What server and engine hold after many jobs and checkpoint switches, against what they held once warm.

    python -m benchmarks.api_memory --jobs 300 --switches 50

Starts a server of its own with two tiny checkpoints, so that what grows is the program and not the weights. The target
is at most 2 % of drift after warm-up.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from tests.checkpoints import write_tiny_checkpoint
from tests.server.server import Server

MODULES = {"real": "modules.server", "fake": "tests.server.fake_engine_server"}
SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1}


def resident(server: Server) -> dict[str, int]:
    """Resident bytes of the server and of what it started."""
    assert server.process is not None
    own = psutil.Process(server.process.pid)
    return {
        "server": own.memory_info().rss,
        "engine": sum(child.memory_info().rss for child in own.children(recursive=True)),
    }


def drift(server: Server, run: Callable[[int], None], warm: int, count: int) -> dict[str, float]:
    """Growth in per cent over `count` runs that follow `warm` others."""
    for number in range(warm):
        run(number)
    before = resident(server)
    for number in range(count):
        run(number)
    after = resident(server)
    return {name: 100 * (after[name] - before[name]) / before[name] for name in before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--warm", type=int, default=100)
    parser.add_argument("--engine", choices=("real", "fake"), default="real")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for name in ("one", "two"):
            write_tiny_checkpoint(data / "models" / "Stable-diffusion" / f"{name}.safetensors", seed=len(name))
        with (
            Server(data, "--use-cpu", "all", "--no-half", module=MODULES[arguments.engine]) as server,
            httpx.Client(base_url=server.url, timeout=600) as client,
        ):

            def job(number: int, **more: object) -> None:
                client.post("/sdapi/v1/txt2img", json=SMALL | {"seed": number} | more).raise_for_status()

            def switch(number: int) -> None:
                job(number, override_settings={"sd_model_checkpoint": ("one", "two")[number % 2]})

            print("| over | server | engine |")
            print("|---|---|---|")
            for what, run, count in (
                (f"{arguments.jobs} jobs", job, arguments.jobs),
                (f"{arguments.switches} checkpoint switches", switch, arguments.switches),
            ):
                grown = drift(server, run, arguments.warm, count)
                print(f"| {what} | {grown['server']:+.1f} % | {grown['engine']:+.1f} % |", flush=True)
            held = {name: size / 2**20 for name, size in resident(server).items()}
            print(f"In the end the server holds {held['server']:.0f} MiB and the engine {held['engine']:.0f} MiB.")


if __name__ == "__main__":
    main()
