"""How long the server takes from the start of its process to its port, to its page, and to an engine that is ready.

    python -m benchmarks.start_up [--repeats 5]

Each start is a fresh process on a data folder of its own with a toy checkpoint. The goal: the port within 4 seconds.
"Port" is the first connection that is accepted, "page" the whole answer to `GET /`, "ready" the engine's own word, with
the checkpoint loaded. CPU seconds are those of the server process until its page is out: on a busy machine they are the
ones to compare.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.checkpoints import write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 300.0


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process; `cpu` and `torch` are None where the system does not report them."""

    port: float
    page: float
    ready: float
    cpu: float | None
    torch: bool | None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.005)
    raise SystemExit("The server did not bind its port.")


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        body: bytes = answer.read()
    return body


def cpu_seconds(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def has_torch(pid: int) -> bool | None:
    try:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return None


def started(data: Path, module: str = "modules.server") -> Start:
    """Start a server on `data`, time it, and stop it."""
    port = free_port()
    flags = ["--port", str(port), "--data-dir", str(data), "--use-cpu", "all"]
    began = time.monotonic()
    server = subprocess.Popen([sys.executable, "-m", module, *flags], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        bound = time.monotonic() - began
        get(port, "/")
        page, cpu = time.monotonic() - began, cpu_seconds(server.pid)
        while (line := json.loads(get(port, "/internal/page"))["engine"])["state"] != "ready" or not line["checkpoint"]:
            if time.monotonic() - began > PATIENCE:
                raise SystemExit(f"The engine did not become ready: {line['sentence']}")
            time.sleep(0.05)
        return Start(bound, page, time.monotonic() - began, cpu, has_torch(server.pid))
    finally:
        server.terminate()
        server.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write_tiny_checkpoint(data / "models" / "Stable-diffusion" / "tiny.safetensors")
        started(data)  # bytecode and page cache: what is measured is a start on a warm disk
        starts = [started(data) for _ in range(repeats)]
    print("| | port, s | page, s | engine ready, s | server's CPU until the page, s |\n|---|---|---|---|---|")
    for name, of in (("median", statistics.median), ("best", min), ("worst", max)):
        cpu = of([start.cpu for start in starts if start.cpu is not None] or [0.0])
        cells = [of([getattr(start, field) for start in starts]) for field in ("port", "page", "ready")]
        print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in (*cells, cpu))} |")
    print(f"\ntorch in the server process: {'yes' if any(start.torch for start in starts) else 'no'}")


if __name__ == "__main__":
    main()
