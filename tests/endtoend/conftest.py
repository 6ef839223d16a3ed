"""The server and the engine that people get, on a folder of their own, spoken to over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints import write_tiny_checkpoint
from tests.endtoend.house import FLAGS, House
from tests.server.server import Server


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one good checkpoint."""
    folder = tmp_path_factory.mktemp("data")
    write_tiny_checkpoint(folder / "models" / "Stable-diffusion" / "good.safetensors")
    return folder


@pytest.fixture(scope="package")
def house(data: Path) -> Iterator[House]:
    """One server for the folder: what a test does to it, the next one must not notice."""
    with Server(data, *FLAGS, module="modules.server") as server:
        yield House(server)
