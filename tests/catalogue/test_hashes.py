"""Hashes as A1111 computes them, and the cache that remembers them."""

import hashlib
import json
import threading
from pathlib import Path

import pytest

from modules.catalogue import FileState, HashCache, legacy_hash_of, network_hash_of, sha256_of
from tests.catalogue.files import write_model


def test_the_hash_is_sha256_of_the_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert sha256_of(tmp_path / "a", stopped=lambda: True) == ""


def test_the_legacy_hash_is_of_64_kib_at_one_mib(tmp_path: Path) -> None:
    data = bytes(0x100000) + b"A" * 0x10000 + b"B" * 100
    (tmp_path / "a").write_bytes(data)
    assert legacy_hash_of(tmp_path / "a") == hashlib.sha256(b"A" * 0x10000).hexdigest()[:8]
    (tmp_path / "short").write_bytes(b"tiny")
    assert legacy_hash_of(tmp_path / "short") == "e3b0c442"


def test_a_lora_hash_does_not_change_with_its_metadata(tmp_path: Path) -> None:
    first = network_hash_of(write_model(tmp_path / "a.safetensors", {"ss_output_name": "a"}, b"weights-here"))
    second = network_hash_of(write_model(tmp_path / "b.safetensors", {"notes": "renamed"}, b"weights-here"))
    assert first == second == hashlib.sha256(b"weights-here").hexdigest()
    (tmp_path / "c.pt").write_bytes(b"PK\x03\x04pickle")
    assert network_hash_of(tmp_path / "c.pt") == sha256_of(tmp_path / "c.pt")


SHA = "ab" * 32


def test_the_cache_survives_a_restart(tmp_path: Path) -> None:
    cache = HashCache(tmp_path / "cache" / "hashes.json")
    cache.put(tmp_path / "m", FileState(10, 20), SHA)
    again = HashCache(tmp_path / "cache" / "hashes.json")
    assert again.get(tmp_path / "m", FileState(10, 20)) == SHA
    assert again.get(tmp_path / "m", FileState(11, 20)) is None
    assert again.get(tmp_path / "m", FileState(10, 21)) is None
    assert again.get(tmp_path / "other", FileState(10, 20)) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"m": 5}', b'{"m": [1, 2, "short"]}', b"\xff\xfe"])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hashes.json").write_bytes(content)
    cache = HashCache(tmp_path / "hashes.json")
    assert cache.get(Path("m"), FileState(1, 2)) is None
    cache.put(Path("m"), FileState(1, 2), SHA)
    assert list(json.loads((tmp_path / "hashes.json").read_text()).values()) == [[1, 2, SHA]]


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = HashCache(tmp_path / "file" / "hashes.json")
    cache.put(Path("m"), FileState(1, 2), SHA)
    assert cache.get(Path("m"), FileState(1, 2)) == SHA
    assert "hashes.json was not saved" in caplog.text


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    cache = HashCache(tmp_path / "hashes.json")
    threads = [
        threading.Thread(target=lambda n=n: cache.put(tmp_path / str(n), FileState(n, n), SHA)) for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = HashCache(tmp_path / "hashes.json")
    assert all(again.get(tmp_path / str(n), FileState(n, n)) == SHA for n in range(16))
