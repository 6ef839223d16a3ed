"""Networks that stay in memory while they are used."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from modules.catalogue.model_errors import ModelFileError
from modules.engine.job_networks import JobNetworks
from modules.engine.model_keeper import ModelKeeper
from modules.engine.network_cache import NetworkCache
from modules.parameters import parse_request, resolve
from modules.parameters.job_options import NetworkOptions
from modules.prompt import extract_networks, network_uses
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


def cache_of(read: Callable[[Path], object], make_room: Callable[[int], bool] = lambda needed: True) -> Any:
    return NetworkCache(read, lambda work, path: Future(), make_room)


def test_one_that_is_deleted_stays_for_the_job_that_uses_it_and_one_that_is_replaced_is_read_anew(
    tmp_path: Path,
) -> None:
    """The second picture of a job was made without it, and its infotext named it all the same."""
    path = write_trained_lora(tmp_path / "ink.safetensors")
    file, cache = NetworkFile(path=str(path)), cache_of(read_network)
    first = cache.get(file)
    path.unlink()
    assert cache.get(file) is first
    write_trained_lora(path, seed=2)
    assert cache.get(file).key != first.key
    cache.drop_unused((), 0)
    path.unlink()
    with pytest.raises(ModelFileError, match=r"^ink\.safetensors is no longer there\.$"):
        cache.get(file)


def test_one_that_main_memory_has_no_room_for_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    """The whole job failed, and was advised to make a smaller picture."""
    path = tmp_path / "huge.safetensors"
    file = NetworkFile(path=str(path))
    wanted: list[int] = []

    def no_room(needed: int) -> bool:
        wanted.append(needed)
        return False

    def never(path: Path) -> object:
        raise AssertionError(f"{path} was read")

    with path.open("wb") as sparse:
        sparse.truncate(1 << 42)
    with pytest.raises(ModelFileError, match=r"not enough main memory for the 4398\.0 GB of huge\.safetensors\.$"):
        cache_of(never, no_room).get(file)
    assert wanted == [1 << 42]

    def scarce(path: Path) -> object:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    path.write_bytes(bytes(8))
    with pytest.raises(ModelFileError, match="not enough main memory"):
        cache_of(scarce).get(file)
    # A machine that is nearly full still takes what it has room for.
    assert cache_of(len_of, no_room).get(file).network == 8


def len_of(path: Path) -> int:
    return path.stat().st_size


def test_infotext_does_not_name_one_that_has_gone_since_an_earlier_picture(tmp_path: Path) -> None:
    path = write_trained_lora(tmp_path / "ink.safetensors")
    resolved = resolve(parse_request({"prompt": "a cat<lora:ink:1>"}), options={}, rng=random.Random(0))
    (use,), _ = network_uses(extract_networks(resolved.request.prompt)[1])
    notices: list[str] = []
    networks = JobNetworks(
        cast(ModelKeeper, SimpleNamespace(networks=cache_of(read_network))),
        {"lora": {"ink": NetworkFile(path=str(path))}},
        NetworkOptions(False, 1, False, ()),
        notices.append,
        {"ink": "0123456789abcdef"},
    )
    assert networks.hashes(resolved)
    path.unlink()
    assert networks._cached("lora", networks.models.networks, [use]) == [] and len(notices) == 1
    assert networks.hashes(resolved) == {}
