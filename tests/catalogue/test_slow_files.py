"""Files that take a second to read hold up nobody who only asks what is there."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from modules.catalogue import Catalogue, ModelFolders, catalogue
from tests.server.fake_engine_server import write_checkpoint


def test_lists_are_answered_while_a_refresh_reads_slow_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "one.safetensors", "128x128")
    listed = Catalogue(ModelFolders(checkpoints=(tmp_path,), vaes=(tmp_path,)), tmp_path / "hashes.json")
    reading, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> Any:
        reading.set()
        go_on.wait(60)
        return None

    monkeypatch.setattr(catalogue, "legacy_hash_of", slow)
    write_checkpoint(tmp_path / "two.safetensors", "128x128")
    refreshing = threading.Thread(target=listed.refresh)
    refreshing.start()
    try:
        assert reading.wait(60)
        answers: list[str] = []

        def ask() -> None:
            answers.extend(one.name for one in (*listed.checkpoints(), *listed.vaes()))
            answers.append(listed.find_checkpoint("one").name)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(5)
        assert answers == ["one.safetensors", "one.safetensors", "one.safetensors"]
    finally:
        go_on.set()
        refreshing.join()
    assert [one.name for one in listed.checkpoints()] == ["one.safetensors", "two.safetensors"]


def test_a_hash_that_arrives_during_a_refresh_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "one.safetensors", "128x128")
    listed = Catalogue(ModelFolders(checkpoints=(tmp_path,)), tmp_path / "hashes.json")
    (one,) = listed.checkpoints()
    real = listed._read_lists

    def slow() -> Any:
        lists = real()
        time.sleep(0.3)
        return lists

    monkeypatch.setattr(listed, "_read_lists", slow)
    refreshing = threading.Thread(target=listed.refresh)
    refreshing.start()
    time.sleep(0.1)
    listed.remember_hash(one.path, one.state, "a" * 64)
    refreshing.join()
    assert listed.checkpoints()[0].sha256 == "a" * 64
