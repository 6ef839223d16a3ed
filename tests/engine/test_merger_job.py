"""Jobs of the Checkpoint Merger as the engine carries them out: progress, hashes, interrupts, leftovers of a kill."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from modules.catalogue.hashes import sha256_of
from modules.engine.control import JobControl, StopLevel
from modules.engine.failures import sentence_for
from modules.engine.merger_job import run_merger
from modules.files import SaveError
from modules.hardware.choice import Hardware
from modules.hardware.memory_watch import MemoryWatch
from modules.parameters import RequestError, resolve
from modules.parameters.merger_request import ExtractRequest, MergeRequest
from modules.parameters.request import merger_job
from modules.protocol import JobFinished, MergerFiles, RunMerger, SourceCheckpoint, StepDone
from modules.protocol.messages import Message
from modules.weights.merging.arithmetic import weighted_sum
from tests.checkpoints import write_lora, write_tiny_checkpoint
from tests.weights.test_merging import write

JOB = "0123456789abcdef"


def run(
    folder: Path, control: JobControl | None = None, stop_at: int | None = None, **fields: Any
) -> tuple[list[StepDone], JobFinished]:
    """Merge a and b of a folder; the job is interrupted at a step."""
    control = control or JobControl()
    request: MergeRequest | ExtractRequest
    request = (ExtractRequest if "rank" in fields else MergeRequest).model_validate(fields)
    paths = [folder / f"{letter}.safetensors" for letter in "ab"]
    files = MergerFiles(
        checkpoints=tuple(SourceCheckpoint(path=str(path), name=path.stem) for path in paths),
        folder=str(folder),
        name="merged",
        loras=tuple(str(folder / lora["name"]) for lora in fields.get("loras", ())),
    )
    resolved = resolve(merger_job(request), options={}, rng=random.Random(0))
    events: list[Message] = []

    def emit(event: Message) -> None:
        events.append(event)
        if isinstance(event, StepDone) and event.step == stop_at:
            control.request(StopLevel.STOP)

    with MemoryWatch(torch.device("cpu"), 0) as watch:
        run_merger(RunMerger(job_id=JOB, resolved=resolved, files=files), control, emit, watch)
    end = events[-1]
    assert isinstance(end, JobFinished)
    return [event for event in events if isinstance(event, StepDone)], end


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, letter in enumerate("ab"):
        write(tmp_path / f"{letter}.safetensors", n)
    return tmp_path


def test_a_merge_reports_progress_and_says_where_its_file_is(folder: Path) -> None:
    # What an engine left that was killed in the middle of the same job.
    (folder / f".saving-{JOB}.tmp").write_bytes(b"half")
    steps, end = run(folder)
    assert not end.interrupted and end.notices == (f"Checkpoint saved to {folder / 'merged.safetensors'}.",)
    assert steps[0].fraction == 0 and steps[-1].fraction == 1 and len(steps) > 3
    assert [one.fraction for one in steps] == sorted(one.fraction for one in steps)
    assert not list(folder.glob(".saving-*"))
    # The lists had no hashes yet.
    with safe_open(folder / "merged.safetensors", framework="pt") as file:
        recipe = json.loads(file.metadata()["sd_merge_recipe"])
    assert recipe["primary_model_hash"] == sha256_of(folder / "a.safetensors")
    assert recipe["secondary_model_hash"] == sha256_of(folder / "b.safetensors")


def test_an_interrupted_merge_leaves_nothing(folder: Path) -> None:
    steps, _ = run(folder)
    (folder / "merged.safetensors").unlink()
    _, end = run(folder, stop_at=steps[2].step)
    assert end.interrupted and end.notices == ()
    stopped_before = JobControl()
    stopped_before.request(StopLevel.STOP)
    assert run(folder, stopped_before)[1].interrupted
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_running_out_of_memory_in_the_middle_leaves_nothing_and_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It advised a smaller size of pictures, which a merge has not."""
    calls: list[int] = []

    def scarce(a: Tensor, b: Tensor, weight: float) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return weighted_sum(a, b, weight)

    with monkeypatch.context() as patch:
        patch.setattr("modules.weights.merging.checkpoints.weighted_sum", scarce)
        with pytest.raises(RequestError) as failed:
            run(folder)
    assert len(calls) == 3
    hardware = SimpleNamespace(device=torch.device("cpu"))
    sentence = sentence_for(failed.value, cast(Hardware, hardware))
    assert sentence.startswith("There was not enough main memory to make merged, and nothing was written.")
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors", "b.safetensors"]
    assert not run(folder)[1].interrupted


def test_a_name_that_was_taken_meanwhile_is_said(folder: Path) -> None:
    (folder / "merged.safetensors").write_bytes(b"another program's")
    with pytest.raises(SaveError, match="a file of that name is already in"):
        run(folder)
    assert (folder / "merged.safetensors").read_bytes() == b"another program's"


def test_a_lora_goes_in_and_comes_out_again(tmp_path: Path) -> None:
    base = write_tiny_checkpoint(tmp_path / "b.safetensors", dtype="fp32")
    (tmp_path / "a.safetensors").write_bytes(base.read_bytes())
    lora = write_lora(tmp_path / "pen.safetensors", rank=2)
    loras = [{"name": "pen.safetensors", "weight": 0.5}]
    _, end = run(tmp_path, interp_method="Weighted sum", loras=loras)
    assert end.notices == (f"Checkpoint saved to {tmp_path / 'merged.safetensors'}.",)
    (tmp_path / "merged.safetensors").rename(tmp_path / "a.safetensors")
    steps, end = run(tmp_path, rank=2, save_as="float32")
    saved = f"LoRA saved to {tmp_path / 'merged.safetensors'}."
    assert end.notices == (saved, "The text encoders differ too little to be in the LoRA.")
    assert steps[-1].fraction == 1 and [one.fraction for one in steps] == sorted(one.fraction for one in steps)
    given, found = load_file(lora), load_file(tmp_path / "merged.safetensors")
    assert found.keys() == given.keys()
    (stem,) = {name.rpartition(".lora_up")[0] for name in found if "lora_up" in name}
    wanted = 0.5 * given[f"{stem}.lora_up.weight"] @ given[f"{stem}.lora_down.weight"]
    product = found[f"{stem}.lora_up.weight"] @ found[f"{stem}.lora_down.weight"]
    assert float((product - wanted).norm()) < 0.5 * float(wanted.norm())
