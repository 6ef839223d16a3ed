"""`python -m tests.server.fake_engine_server [flags]`: the real server with the real services, and no torch engine."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from modules.jobs import services
from modules.jobs.engine_log import EngineLog
from modules.jobs.engine_process import EngineNews, EngineProcess, Launch
from modules.server.serve import main
from modules.settings import REPOSITORY, Flags, Paths

COMMAND = [sys.executable, "-m", "tests.jobs.fake_engine"]


def fake_launch(_: Flags, log: EngineLog) -> Launch:
    def launch(number: int, post: Callable[[EngineNews], None]) -> EngineProcess:
        return EngineProcess(number, post, COMMAND, log.copy, folder=REPOSITORY)

    return launch


def write_checkpoint(path: Path, resolution: str) -> None:
    """A safetensors file with a header and no tensors, which states its native size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": {"modelspec.resolution": resolution}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def open_services(flags: Flags) -> services.Services:
    folder = Paths.from_flags(flags).models_dir / "Stable-diffusion"
    for name, resolution in (("demo-emoji", "128x128"), ("other", "256x192")):
        if not (folder / f"{name}.safetensors").exists():
            write_checkpoint(folder / f"{name}.safetensors", resolution)
    # For this call alone: in a process of many tests others want the real one.
    with patch.object(services, "engine_launch", fake_launch):
        return services.open_services(flags)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], open_services))
