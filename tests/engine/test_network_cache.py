"""Networks that stay in memory while they are used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from modules.engine.network_cache import NetworkCache
from modules.protocol import NetworkFile
from modules.weights.networks.reading import read_network
from tests.networks import write_trained_lora


def test_a_file_that_is_gone_before_it_is_hashed_fails_nothing(tmp_path: Path) -> None:
    path = write_trained_lora(tmp_path / "ink.safetensors")

    def after_it_went(work: Callable[[Path], str], hashed: Path) -> Future[str]:
        path.unlink()
        future: Future[str] = Future()
        future.set_result(work(hashed))
        return future

    cached = NetworkCache(read_network, after_it_went).get(NetworkFile(path=str(path)))
    assert cached.sha256.result() == "" and cached.network.layers
