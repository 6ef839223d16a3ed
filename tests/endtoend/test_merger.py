"""Engines killed or out of memory in the middle of merging: a whole file or none, and nothing half beside it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from safetensors import safe_open

from tests.checkpoints import write_hollow_checkpoint
from tests.endtoend.house import House, one_sentence

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the engine in /proc"),
]
# 200 MB: long enough to be killed in the middle of.
TENSORS, LENGTH = 48, 2 << 20


def begin(house: House, name: str) -> str:
    answer = house.post(
        "/v1/jobs/merge", primary_model_name="a", secondary_model_name="b", multiplier=0.5, custom_name=name
    )
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    return identity


@pytest.fixture
def sources(house: House) -> None:
    """Two checkpoints to merge."""
    for letter in "ab":
        write_hollow_checkpoint(house.models / f"{letter}.safetensors", TENSORS, LENGTH)
    assert house.post("/sdapi/v1/refresh-checkpoints").status_code == 200


def kill_half_written(house: House, identity: str) -> None:
    """Wait until the job writes, and kill the engine."""
    temporary = house.models / f".saving-{identity}.tmp"
    house.until(lambda: temporary.exists() or house.job(identity)["state"] == "failed")
    house.kill_engine()
    assert not (house.models / "merged.safetensors").exists()


@pytest.mark.long
@pytest.mark.usefixtures("sources")
def test_killed_in_the_middle_of_merging(house: House) -> None:
    identity = begin(house, "merged")
    kill_half_written(house, identity)
    job = house.ended(identity)
    assert (job["state"], job["attempts"], job["cause"]) == ("finished", 1, None), job
    path = house.models / "merged.safetensors"
    assert job["notices"] == [f"Checkpoint saved to {path}."]
    with safe_open(path, framework="pt") as file:
        assert len(file.keys()) == TENSORS
    # Listed without anybody asking for it.
    assert any(one["model_name"] == "merged" for one in house.get("/sdapi/v1/sd-models"))

    path.unlink()
    answer = house.post("/v1/jobs/merge", primary_model_name="a", secondary_model_name="zzz")
    assert answer.status_code in (400, 422) and one_sentence(answer.json()["detail"]), answer.text


@pytest.mark.long
def test_without_memory_in_the_middle_it_says_so_and_the_engine_goes_on(house: House) -> None:
    for letter in "ab":
        # The last tensor takes 512 MB as it lies in the file and twice that as float32.
        write_hollow_checkpoint(house.models / f"{letter}.safetensors", 3, LENGTH, last=256 << 20)
    assert house.post("/sdapi/v1/refresh-checkpoints").status_code == 200
    house.works()
    engine = psutil.Process(house.engine_pid())
    before = engine.rlimit(psutil.RLIMIT_AS)
    engine.rlimit(psutil.RLIMIT_AS, (engine.memory_info().vms + (700 << 20), before[1]))
    job = house.ended(begin(house, "large"))
    engine.rlimit(psutil.RLIMIT_AS, before)
    assert job["state"] == "failed" and one_sentence(job["cause"]), job
    assert job["cause"].startswith("There was not enough main memory to make large, and nothing was written."), job
    assert not list(house.models.glob(".saving-*")) and not (house.models / "large.safetensors").exists()
    house.works()
    assert house.engine_pid() == engine.pid


@pytest.mark.long
@pytest.mark.usefixtures("sources")
def test_killed_twice_it_fails_and_leaves_nothing(house: House) -> None:
    identity = begin(house, "twice")
    kill_half_written(house, identity)
    house.until(lambda: house.job(identity)["attempts"] == 1)
    kill_half_written(house, identity)
    job = house.ended(identity)
    assert job["state"] == "failed" and one_sentence(job["cause"]) and "killed" in job["cause"], job
    assert not list(house.models.glob(".saving-*")) and not (house.models / "twice.safetensors").exists()
    house.works()
