"""What a job does to a checkpoint ends with the job, and what its threads share is never half there."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from modules.catalogue import ModelFolders
from modules.engine import loaded as loaded_module
from modules.engine.control import JobControl
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job import run_job
from modules.engine.job_models import JobModels
from modules.engine.model_keeper import ModelKeeper
from modules.engine.previewer import Previewer
from modules.engine.upscalers import UpscalerKeeper
from modules.families import SD1
from modules.generation.previews import fit_colours
from modules.hardware.choice import Hardware
from modules.protocol import CheckpointFile, ImageReady, JobFinished, JobStarted, Preview, RunJob
from modules.protocol.messages import Message
from modules.settings import Paths, parse_flags
from tests.checkpoints import write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at, job
from tests.engine.test_models import CPU, Line

EACH_STEP = {"live_preview_refresh_period": 0, "show_progress_every_n_steps": 1}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFile:
    return checkpoint_at(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))


@pytest.fixture
def keeper() -> ModelKeeper:
    return ModelKeeper(CPU, Line().emit)


def run(keeper: ModelKeeper, command: RunJob, emit: Any, hardware: Hardware = CPU) -> None:
    upscalers = UpscalerKeeper(CPU, ModelFolders.from_paths(Paths.from_flags(parse_flags([], {}))))
    with FinishedPictures() as pictures:
        run_job(command, keeper, upscalers, JobControl(), hardware, emit, pictures)


def padding(keeper: ModelKeeper, file: CheckpointFile) -> set[str]:
    """How the convolutions of the loaded checkpoint pad."""
    model = keeper.load(file).model
    layers = (layer for part in (model.unet, model.vae) for layer in part.modules() if isinstance(layer, nn.Conv2d))
    return {layer.padding_mode for layer in layers}


def out_of_memory(*_: object) -> None:
    raise torch.OutOfMemoryError("in between")


def test_tiling_ends_with_a_job_that_fails_as_it_starts(keeper: ModelKeeper, file: CheckpointFile) -> None:
    def emit(event: Message) -> None:
        if isinstance(event, JobStarted):
            out_of_memory()

    with pytest.raises(torch.OutOfMemoryError) as raised:
        run(keeper, job(file, "a", tiling=True), emit)
    # While the error is at hand, and with it all that the job had: not only once that is collected.
    assert raised.traceback and padding(keeper, file) == {"zeros"}


def test_tiling_ends_with_a_job_whose_autoencoder_does_not_fit(
    keeper: ModelKeeper, file: CheckpointFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelKeeper, "tiny", out_of_memory)
    command = job(file, "a", tiling=True, options={"sd_vae_decode_method": "TAESD"})
    with pytest.raises(torch.OutOfMemoryError):
        run(keeper, command, Line().emit)
    assert padding(keeper, file) == {"zeros"}
    # Whoever tries again with the same models gets them arranged, and not as the failed try left them.
    models = JobModels(keeper, CPU, command.resolved)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            models.pipeline(file)
    assert padding(keeper, file) == {"zeros"}


def test_a_preview_that_fails_is_said_once_and_the_pictures_are_made(
    keeper: ModelKeeper, file: CheckpointFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("no such colour\nand more")

    monkeypatch.setattr(Previewer, "make", lambda self, latents: broken)
    line = Line()
    run(keeper, job(file, "a", n_iter=2, steps=10, options=EACH_STEP), line.emit)
    assert [event.index for event in line.of(ImageReady) if event.kind == "image"] == [0, 1]
    (finished,) = line.of(JobFinished)
    assert finished.notices == ("Previews were left out after one failed with ZeroDivisionError: no such colour.",)
    assert not line.of(Preview)


def test_a_vae_that_overflows_is_said_once(keeper: ModelKeeper, file: CheckpointFile) -> None:
    vae: Any = keeper.load(file).model.vae
    with torch.no_grad():
        for layer in (vae.post_quant_conv, vae.decoder.conv_in):
            layer.weight.mul_(1e3)
    vae.half()
    line = Line()
    run(keeper, job(file, "a", n_iter=2), line.emit)
    assert [event.index for event in line.of(ImageReady) if event.kind == "image"] == [0, 1]
    (finished,) = line.of(JobFinished)
    (said,) = finished.notices
    assert said.startswith("The VAE overflowed in half precision (NaN) and was tried again in 32 bits")


@pytest.mark.long
@pytest.mark.parametrize("method", ["Full", "Approx NN"])
def test_no_memory_for_a_preview_costs_the_preview_alone(
    keeper: ModelKeeper, file: CheckpointFile, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(JobModels, "decoded", refused)
    monkeypatch.setattr(JobModels, "preview_colours", refused)
    line = Line()
    run(keeper, job(file, "a", options=EACH_STEP | {"show_progress_type": method}), line.emit)
    assert [event.index for event in line.of(ImageReady)] == [0]


def test_the_colours_of_previews_are_found_on_the_thread_of_the_steps(
    keeper: ModelKeeper, file: CheckpointFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It alone knows when the VAE is on the device, with its weights in their own number type."""
    threads = []
    real = fit_colours

    def fitted(*arguments: Any) -> torch.Tensor:
        threads.append(threading.current_thread())
        return real(*arguments)

    monkeypatch.setattr(loaded_module, "fit_colours", fitted)
    line = Line()
    run(keeper, job(file, "a", options=EACH_STEP), line.emit)
    assert line.of(Preview)
    assert threads == [threading.current_thread()]


def test_a_checkpoint_is_not_replaced_while_its_facts_are_read(file: CheckpointFile) -> None:
    """They are read on the thread that encodes pictures, and a checkpoint that was replaced has no modules any more."""
    other = file.model_copy(update={"path": str(Path(file.path).with_name("other.safetensors"))})
    reading, go_on, replaced = threading.Event(), threading.Event(), threading.Event()

    def facts() -> dict[str, object]:
        if threading.current_thread() is reader:
            reading.set()
            assert go_on.wait(20)
        return {"Model": "first"}

    def load(wanted: CheckpointFile) -> None:
        replaced.set()
        raise ValueError("far enough")

    nothing = SimpleNamespace(embeddings_in_picture=())
    loaded = SimpleNamespace(
        file=file,
        model=SimpleNamespace(unet_channels=4, family=SD1),
        encoder=nothing,
        facts=facts,
        embedding_hashes=lambda names: dict.fromkeys(names, ""),
    )
    models = JobModels(SimpleNamespace(load=load), replace(CPU), job(file, "a").resolved)  # type: ignore[arg-type]  # a fake stands in
    models._loaded = loaded  # type: ignore[assignment]  # a fake stands in
    seen: list[dict[str, object]] = []
    reader = threading.Thread(target=lambda: seen.append(models.facts()))
    reader.start()
    assert reading.wait(20)

    def switch() -> None:
        with pytest.raises(ValueError, match="far enough"):
            models.pipeline(other)

    switcher = threading.Thread(target=switch)
    switcher.start()
    assert not replaced.wait(0.3)
    go_on.set()
    reader.join(20)
    switcher.join(20)
    assert replaced.is_set()
    assert [one["Model"] for one in (*seen, models.facts())] == ["first", "first"]
