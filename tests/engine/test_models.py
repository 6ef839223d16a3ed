"""The one loaded checkpoint: kept, exchanged, and brought down to a thriftier mode when memory runs out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from modules.engine import engine as engine_module
from modules.engine.channel import Channel
from modules.engine.control import JobControl
from modules.engine.engine import Engine
from modules.engine.failures import sentence_for
from modules.engine.hardware_flags import requested_hardware, requested_memory_mode
from modules.engine.job import run_job
from modules.engine.model_keeper import ModelKeeper
from modules.hardware.budget import MemoryPlan
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.out_of_memory import is_out_of_memory
from modules.protocol import CheckpointFailed, CheckpointLoaded, ImageReady, JobFailed, JobFinished
from modules.settings import parse_flags
from tests.checkpoints import write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at, job

CPU = choose_hardware(HardwareRequest(use_cpu=True, no_half=True))


class Line:
    """A channel that only remembers what was said."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any) -> None:
        self.events.append(event)

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def test_the_same_checkpoint_is_loaded_once_and_another_takes_its_place(tmp_path: Path) -> None:
    line = Line()
    models = ModelKeeper(CPU, line.emit)
    files = [checkpoint_at(write_tiny_checkpoint(tmp_path / f"{n}.safetensors", seed=n)) for n in range(2)]
    first = models.load(files[0])
    assert models.load(files[0]) is first
    second = models.load(files[1])
    assert not first.model.loaded
    assert second.model.loaded
    assert [event.title for event in line.of(CheckpointLoaded)] == ["0.safetensors", "1.safetensors"]
    assert second.facts()["Model"] == "1"
    models.unload()
    assert not second.model.loaded


@pytest.mark.parametrize(
    ("flags", "mode"),
    [([], None), (["--medvram"], "medvram"), (["--lowvram"], "lowvram"), (["--medvram", "--lowvram"], "lowvram")],
)
def test_the_flags_choose_the_memory_mode(flags: Any, mode: str | None) -> None:
    assert requested_memory_mode(parse_flags(flags, {})) == mode


def test_the_flags_of_old_cards_are_understood_together() -> None:
    flags = parse_flags([], {"COMMANDLINE_ARGS": "--xformers --lowvram"})
    assert requested_memory_mode(flags) == "lowvram"
    assert requested_hardware(flags).attention.name == "xformers"
    assert requested_hardware(parse_flags(["--upcast-sampling"], {})).attention.upcast


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_running_out_of_memory_is_distinguished_from_other_errors(error: Any, is_memory: bool) -> None:
    assert is_out_of_memory(error) is is_memory
    assert ("memory" in sentence_for(error, CPU)) is (is_memory or "memory" in str(error))
    assert "\n" not in sentence_for(error, CPU)


class OnCard(Engine):
    """An engine that believes to own a card; what runs there runs on the CPU."""

    def __init__(self, line: Line) -> None:
        super().__init__(cast(Channel, line), ["--use-cpu", "all", "--no-half"])


def test_a_job_that_runs_out_of_memory_goes_on_in_a_thriftier_mode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first run delivers one picture and then finds no memory; the second makes only what is missing."""
    line = Line()
    engine = OnCard(line)
    checkpoint = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    runs: list[tuple[int, ...]] = []
    real = run_job

    def runs_out_once(
        command: Any,
        models: Any,
        upscalers: Any,
        control: Any,
        hardware: Any,
        emit: Any,
        pictures: Any,
        notices: Any,
        watch: Any,
    ) -> None:
        runs.append(command.done)
        if len(runs) == 1:
            first = command.model_copy(
                update={"resolved": command.resolved.model_copy(update={"options": {"grid_save": False}})}
            )
            first = first.model_copy(update={"done": (1,)})
            real(first, models, upscalers, control, hardware, emit, pictures, notices, watch)
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(command, models, upscalers, control, hardware, emit, pictures, notices, watch)

    monkeypatch.setattr(engine_module, "run_job", runs_out_once)
    monkeypatch.setattr(ModelKeeper, "step_down", lambda self: "medvram")
    engine._run(job(checkpoint, "a", n_iter=2), JobControl())
    assert runs == [(), (0,)]
    assert sorted(event.index for event in line.of(ImageReady) if event.kind == "image") == [0, 1]
    assert "--medvram" in line.of(JobFinished)[-1].notices[0]
    assert not line.of(JobFailed)


def test_recorded_steps_go_before_the_mode_does(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OnCard(Line())
    monkeypatch.setattr(ModelKeeper, "step_down", lambda self: "medvram")
    assert "--medvram" in (engine._make_do() or "")
    monkeypatch.setattr(ModelKeeper, "stop_replaying", lambda self: True)
    assert "not replayed any more" in (engine._make_do() or "")


def test_out_of_memory_in_the_thriftiest_mode_fails_with_a_sentence_and_the_next_job_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line = Line()
    engine = OnCard(line)
    checkpoint = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))

    def runs_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "run_job", runs_out)
        engine._run(job(checkpoint, "a"), JobControl())
    assert "smaller size" in line.of(JobFailed)[-1].cause
    engine._run(job(checkpoint, "b"), JobControl())
    assert line.of(JobFinished)[-1].job_id == "b"


def test_a_cpu_has_no_thriftier_mode(tmp_path: Path) -> None:
    models = ModelKeeper(CPU, Line().emit)
    models.load(checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors")))
    assert models.step_down() is None


def test_a_card_steps_down_from_mode_to_mode() -> None:
    on_card = replace(CPU, device=torch.device("cuda"))
    models = ModelKeeper(on_card, Line().emit)
    models.placement.plan = MemoryPlan("full", "")
    assert models.step_down() == "medvram"
    models.placement.plan = MemoryPlan("medvram", "")
    assert models.step_down() == "lowvram"
    models.placement.plan = MemoryPlan("lowvram", "")
    assert models.step_down() is None


def test_memory_that_runs_out_while_a_checkpoint_loads_is_reported_and_the_next_load_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line = Line()
    keeper = ModelKeeper(CPU, line.emit)
    wanted = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    with monkeypatch.context() as patch:

        def no_room(*_: Any, **__: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

        patch.setattr("modules.engine.model_keeper.load_checkpoint", no_room)
        with pytest.raises(torch.OutOfMemoryError):
            keeper.load(wanted)
    (failed,) = line.of(CheckpointFailed)
    assert "Not enough memory" in failed.cause
    assert keeper.load(wanted).model.loaded
