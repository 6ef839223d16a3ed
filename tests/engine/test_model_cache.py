"""Checkpoints and VAEs that stay in memory: they come back as they were, from no file, until memory is short."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from modules.catalogue import Catalogue, ModelFolders
from modules.catalogue.model_errors import ModelFileError
from modules.engine import engine as engine_module
from modules.engine import model_cache as cache_module
from modules.engine import model_keeper as models_module
from modules.engine import model_placement as placement_module
from modules.engine.control import JobControl
from modules.engine.embedding_cache import EmbeddingCache
from modules.engine.engine import Engine
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job import run_job
from modules.engine.model_keeper import ModelKeeper
from modules.engine.upscalers import UpscalerKeeper
from modules.hardware.available_memory import MAIN_RESERVE, MainMemory
from modules.hardware.budget import OutOfBudget, RequestSize
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.fp8_weights import store_in_8_bits
from modules.intake.checkpoints import CheckpointChooser
from modules.intake.intake import Intake
from modules.parameters import parse_request
from modules.protocol import (
    CheckpointFailed,
    CheckpointFile,
    CheckpointLoaded,
    ImageReady,
    JobFailed,
    JobFinished,
    Notice,
    RunJob,
)
from modules.settings import OptionStore, Paths, parse_flags
from tests.checkpoints import Architecture, truncate, write_embedding, write_lora, write_tiny_checkpoint, write_vae
from tests.engine import conftest
from tests.engine.conftest import checkpoint_at
from tests.engine.test_models import Line, OnCard

CPU = choose_hardware(HardwareRequest(use_cpu=True, no_half=True))
UPSCALERS = UpscalerKeeper(CPU, ModelFolders.from_paths(Paths.from_flags(parse_flags([], {}))))
TWO: dict[str, Any] = {"sd_checkpoints_limit": 2}
MB = 10**6

Reads = list[str]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write_tiny_checkpoint(tmp_path / f"{name}.safetensors", seed=n) for n, name in enumerate("abc")]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """The names of the files that are opened for their weights."""
    opened: Reads = []

    def watch(name: str) -> None:
        real: Callable[..., object] = getattr(models_module, name)

        def counted(path: Path, **more: object) -> object:
            opened.append(path.name)
            if (vae := more.get("vae_path")) is not None and more.get("vae") is None:
                opened.append(vae.name)  # type: ignore[attr-defined]  # a path here
            return real(path, **more)

        monkeypatch.setattr(models_module, name, counted)

    watch("load_checkpoint")
    watch("load_vae")
    return opened


def job(checkpoint: CheckpointFile, job_id: str, **values: Any) -> RunJob:
    return conftest.job(checkpoint, job_id, steps=2, **values)


def with_vae(path: Path, vae: Path | None, options: dict[str, Any]) -> CheckpointFile:
    return checkpoint_at(path, options).model_copy(update={"vae_path": None if vae is None else str(vae)})


def pictures(keeper: ModelKeeper, command: RunJob) -> list[bytes]:
    """Every encoded picture of a job, its infotext inside."""
    line = Line()
    with FinishedPictures() as pictures:
        run_job(command, keeper, UPSCALERS, JobControl(), CPU, line.emit, pictures)
    assert line.of(JobFinished)
    return [event.blobs[0] for event in line.of(ImageReady)]


def fresh(command: RunJob, **more: object) -> list[bytes]:
    """The same by an engine that has loaded nothing before."""
    return pictures(ModelKeeper(CPU, Line().emit, **more), command)  # type: ignore[arg-type]  # fields of any type


@pytest.mark.long
def test_a_cached_checkpoint_comes_back_without_its_file_and_draws_the_same(files: list[Path]) -> None:
    line = Line()
    keeper = ModelKeeper(CPU, line.emit)
    jobs = [job(checkpoint_at(path, TWO), path.stem, options=TWO) for path in files[:2]]
    expected = [fresh(one) for one in jobs]
    assert expected[0] != expected[1]
    assert [pictures(keeper, one) for one in jobs] == expected
    for path in files:
        path.unlink()
    assert [pictures(keeper, one) for one in (*jobs, *jobs)] == [*expected, *expected]
    assert [event.read for event in line.of(CheckpointLoaded)] == [True, True, False, False, False, False]
    assert [(one.name, one.on_device) for one in keeper.facts().cached] == [("a.safetensors", False)]


@pytest.mark.long
def test_the_state_of_a_cached_checkpoint_is_that_of_a_fresh_one(files: list[Path], tmp_path: Path) -> None:
    """Everything that jobs change about a model, one after the other, and the other checkpoint between any two."""
    write_embedding(tmp_path / "embeddings" / "charm.safetensors")
    vae = write_vae(tmp_path / "soft.safetensors")

    def embedding_cache() -> EmbeddingCache:
        return EmbeddingCache([tmp_path / "embeddings"], Line().emit)

    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.6}
    kinds: list[tuple[dict[str, Any], dict[str, Any], Path | None]] = [
        ({}, {}, None),
        ({}, {}, vae),
        ({"tiling": True}, {}, None),
        ({"prompt": "a charm, circle"}, {}, None),
        ({}, {"CLIP_stop_at_last_layers": 2}, vae),
        ({}, {"cross_attention_optimization": "sub-quadratic", "upcast_attn": True}, None),
        ({}, {"fp8_storage": "Enable"}, None),
        ({}, {"fast_mode": True}, None),
        (hires, {}, None),
        ({}, {}, None),
    ]

    def made(number: int, path: Path) -> RunJob:
        values, options, chosen = kinds[number]
        options = TWO | options
        command = job(with_vae(path, chosen, options), f"{path.stem}{number}", options=options, **values)
        if not values.get("enable_hr"):
            return command
        other = files[1] if path is files[0] else files[0]
        return command.model_copy(update={"hires_checkpoint": with_vae(other, None, options)})

    keeper = ModelKeeper(CPU, Line().emit, embeddings=embedding_cache())
    jobs = [made(number, files[0]) for number in range(len(kinds))]
    expected = {one.job_id: fresh(one, embeddings=embedding_cache()) for one in jobs}
    assert (
        len({one[0] for one in expected.values()}) == len(kinds) - 3
    )  # attention and the last are plain, the fast mode is off
    between = itertools.cycle([made(0, files[1]), made(1, files[1])])
    for one in (*jobs, *reversed(jobs)):
        assert pictures(keeper, one) == expected[one.job_id], one.job_id
        keeper.load(next(between).checkpoint)


def test_checkpoints_that_take_turns_are_read_once(files: list[Path], reads: Reads) -> None:
    """A hires pass has another checkpoint than the first pass, and a plot goes over checkpoints."""
    keeper = ModelKeeper(CPU, Line().emit)
    a, b = (checkpoint_at(path, TWO) for path in files[:2])
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "hr_second_pass_steps": 1, "n_iter": 3}
    pictures(keeper, job(a, "hires", options=TWO, **hires).model_copy(update={"hires_checkpoint": b}))
    assert reads == ["a.safetensors", "b.safetensors"]
    keeper.unload()
    assert not keeper.facts().cached
    for number in range(2):
        made = pictures(keeper, plot(files[0].parent, str(number)))
        assert len(made) == 5 and len(set(made)) == 5
    assert reads[2:] == ["a.safetensors", "b.safetensors"]


def plot(folder: Path, job_id: str, axes: dict[str, str] | None = None, prompt: str = "a red circle") -> RunJob:
    """A plot as the queue hands it to the engine; of two checkpoints in two sizes, unless other `axes` are given."""
    store = OptionStore(folder / "config.json")
    store.update(TWO)
    chooser = CheckpointChooser(Catalogue(ModelFolders(checkpoints=(folder,)), folder / "hashes.json"), store)
    room = Intake(
        options=store,
        checkpoints=chooser,
        merge_styles=lambda prompt, negative, names: (prompt, negative),
        style_names=lambda: (),
        strip_comments=lambda prompt: prompt,
    )
    axes = axes or {"x_type": "Checkpoint name", "x_values": "a, b", "y_type": "Steps", "y_values": "1, 2"}
    values = {"prompt": prompt, "width": 64, "height": 64, "seed": 7, "scripts": {"X/Y/Z plot": axes}}
    resolved = room.resolve(parse_request(values))
    others = {index: chooser.of(resolved.of_image(index)) for index in range(resolved.image_count)}
    return RunJob(job_id=job_id, resolved=resolved, checkpoint=chooser.of(resolved), others=others)


@pytest.mark.long
def test_each_picture_of_a_script_names_its_own_textual_inversions(files: list[Path], tmp_path: Path) -> None:
    for number, name in enumerate(("inkwash", "chalkline")):
        write_embedding(tmp_path / "embeddings" / f"{name}.pt", seed=number)
    axes = {
        "x_type": "Prompt S/R", "x_values": "inkwash, chalkline, cat",
        "y_type": "Checkpoint name", "y_values": "a, b",
    }  # fmt: skip
    for chosen in (axes | {"y_type": "Nothing", "y_values": ""}, axes):
        line = Line()
        keeper = ModelKeeper(CPU, line.emit, embeddings=EmbeddingCache([tmp_path / "embeddings"], line.emit))
        command = plot(files[0].parent, "plot", chosen, "a inkwash")
        with FinishedPictures() as finished:
            run_job(command, keeper, UPSCALERS, JobControl(), CPU, line.emit, finished)
        drawn = {one.index: one.infotext for one in line.of(ImageReady) if one.kind == "image"}
        for infotext in drawn.values():
            prompt, _, parameters = infotext.partition("\n")
            hashed = parameters.partition("TI hashes: ")[2]
            assert [name in hashed for name in ("inkwash", "chalkline")] == [
                name in prompt for name in ("inkwash", "chalkline")
            ]
        assert len(drawn) == (3 if chosen["y_type"] == "Nothing" else 6)


def test_a_file_whose_head_is_wrong_leaves_the_checkpoint_in_use_where_it_is(
    files: list[Path], tmp_path: Path, reads: Reads
) -> None:
    """Nothing is given up for it, and none of its gigabytes are read."""
    line = Line()
    keeper = ModelKeeper(CPU, line.emit)
    whole = keeper.load(checkpoint_at(files[0]))
    wide = write_vae(tmp_path / "v.safetensors", architecture=Architecture(latent_channels=16))
    lora = write_lora(tmp_path / "lora.safetensors")
    cut = truncate(write_tiny_checkpoint(tmp_path / "cut.safetensors"))
    for file, why in (
        (checkpoint_at(lora), "not a checkpoint but a LoRA"),
        (checkpoint_at(cut), "truncated"),
        (with_vae(files[1], wide, {}), "the VAE has 16"),
    ):
        with pytest.raises(ModelFileError, match=why):
            keeper.load(file)
        assert why in line.of(CheckpointFailed)[-1].cause
    assert keeper.load(checkpoint_at(files[0])) is whole and whole.model.loaded and reads == [files[0].name]


def test_metadata_that_names_another_family_is_said_when_the_file_is_loaded(tmp_path: Path) -> None:
    stated = {"modelspec.architecture": "stable-diffusion-xl-v1-base"}
    line = Line()
    ModelKeeper(CPU, line.emit).load(checkpoint_at(write_tiny_checkpoint(tmp_path / "a.safetensors", metadata=stated)))
    (said,) = line.of(Notice)
    assert said.level == "warning" and said.text.startswith("a.safetensors calls itself 'stable-diffusion-xl-v1-base'")


@pytest.mark.long
def test_the_least_recently_used_goes_first_and_a_lower_limit_holds_at_once(files: list[Path], reads: Reads) -> None:
    keeper = ModelKeeper(CPU, Line().emit)

    def load(name: str, **options: object) -> list[str]:
        path = next(one for one in files if one.stem == name)
        keeper.load(checkpoint_at(path, options))
        return [Path(one.name).stem for one in keeper.facts().cached]

    # A1111's cache counts on top of its limit: two and one are three.
    three = {"sd_checkpoints_limit": 2, "sd_checkpoint_cache": 1}
    assert [load(name, **three) for name in "abc"] == [[], ["a"], ["b", "a"]]
    assert load("a", **three) == ["c", "b"]
    assert load("b", **TWO) == ["a"]
    assert len(reads) == 3
    assert load("c", **TWO) == ["b"]
    assert reads[3:] == ["c.safetensors"]
    cached = keeper.load(checkpoint_at(files[1], TWO)), keeper.load(checkpoint_at(files[2], TWO))
    assert load("c") == []
    assert not cached[0].model.loaded and cached[1].model.loaded


def test_a_file_that_changed_is_read_anew_in_use_or_cached(files: list[Path], reads: Reads) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    jobs = [job(checkpoint_at(path, TWO), path.stem, options=TWO) for path in files[:2]]
    before = [pictures(keeper, one) for one in jobs]
    for number, path in enumerate(files[:2]):
        write_tiny_checkpoint(path, seed=7 + number)
    after = [pictures(keeper, one) for one in (jobs[1], jobs[0])]
    assert after == [fresh(jobs[1]), fresh(jobs[0])] and after != [before[1], before[0]]
    assert len(keeper.facts().cached) == 1
    # What is said about a file beside it counts as well.
    reads.clear()
    files[0].with_suffix(".json").write_text('{"prediction_type": "v_prediction"}', "utf-8")
    assert keeper.load(jobs[0].checkpoint).model.predicts.kind == "v_prediction"
    assert reads == ["a.safetensors"]


@pytest.mark.long
def test_another_vae_is_exchanged_without_reading_the_checkpoint(
    files: list[Path], tmp_path: Path, reads: Reads
) -> None:
    soft, hard = (write_vae(tmp_path / f"{name}.safetensors", seed=n) for n, name in ((5, "soft"), (6, "hard")))
    keeper = ModelKeeper(CPU, Line().emit)
    options: dict[str, Any] = {}
    jobs = [job(with_vae(files[0], vae, options), "x", options=options) for vae in (None, soft, hard)]
    expected = [fresh(one) for one in jobs]
    assert len({one[0] for one in expected}) == 3
    reads.clear()
    unet = keeper.load(jobs[0].checkpoint).model.unet
    assert [pictures(keeper, one) for one in (*jobs, *jobs)] == [*expected, *expected]
    assert keeper.load(jobs[2].checkpoint).model.unet is unet
    # Without a place for them each is read when it is needed, the checkpoint's own out of its file.
    parts = ["a.safetensors", "soft.safetensors", "hard.safetensors"]
    assert reads == [*parts, *parts]


@pytest.mark.long
def test_vaes_are_kept_as_the_setting_says_whichever_checkpoint_had_them(
    files: list[Path], tmp_path: Path, reads: Reads
) -> None:
    soft, hard = (write_vae(tmp_path / f"{name}.safetensors", seed=n) for n, name in ((5, "soft"), (6, "hard")))
    keeper = ModelKeeper(CPU, Line().emit)
    options: dict[str, Any] = {"sd_vae_checkpoint_cache": 2}
    jobs = [job(with_vae(files[0], vae, options), "x", options=options) for vae in (None, soft, hard)]
    made = [pictures(keeper, one) for one in jobs]
    assert [(one.part, one.name) for one in keeper.facts().cached] == [
        ("VAE", "soft.safetensors"),
        ("VAE", "a.safetensors"),
    ]
    reads.clear()
    assert [pictures(keeper, one) for one in jobs] == made
    assert reads == []
    # Another checkpoint takes one of them over; the first one is not cached, and its VAE goes with it.
    other = with_vae(files[1], soft, options)
    assert pictures(keeper, job(other, "x", options=options)) == fresh(job(other, "x", options=options))
    assert reads[:1] == ["b.safetensors"] and "soft.safetensors" not in reads[:2]
    write_vae(soft, seed=9)
    assert pictures(keeper, job(other, "x", options=options)) == fresh(job(other, "x", options=options))
    keeper.load(checkpoint_at(files[1]))
    assert not keeper.facts().cached


def test_a_vae_that_cannot_be_read_costs_no_cached_checkpoint(files: list[Path], tmp_path: Path, reads: Reads) -> None:
    line = Line()
    keeper = ModelKeeper(CPU, line.emit)
    bad = truncate(write_vae(tmp_path / "bad.safetensors"))
    first = keeper.load(checkpoint_at(files[0], TWO))
    with pytest.raises(ModelFileError, match=r"bad\.safetensors is truncated"):
        keeper.load(with_vae(files[0], bad, TWO))
    with pytest.raises(ModelFileError, match=r"gone\.safetensors"):
        keeper.load(with_vae(files[0], tmp_path / "gone.safetensors", TWO))
    assert len(line.of(CheckpointFailed)) == 2
    assert keeper.load(checkpoint_at(files[0], TWO)) is first
    assert reads.count("a.safetensors") == 1
    assert line.events[-2] == line.of(CheckpointLoaded)[-1]


@pytest.mark.long
def test_main_memory_that_would_not_do_is_made_room_in_before_the_next_is_read(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    three = {"sd_checkpoints_limit": 3}
    first, second = (keeper.load(checkpoint_at(path, three)) for path in files[:2])
    # Room for one that is as large with the reserve, once a checkpoint has gone.
    available = {"bytes": second.weights + MAIN_RESERVE - MB}

    def memory() -> MainMemory:
        gone = 0 if first.model.loaded else 20 * MB
        return MainMemory(available["bytes"] + gone, 10**12)

    monkeypatch.setattr(cache_module, "main_memory", memory)
    there: list[bool] = []
    real = store_in_8_bits

    def stored(unet: Any) -> int:
        there.append(first.model.loaded)
        return real(unet)

    monkeypatch.setattr(models_module, "store_in_8_bits", stored)
    third = keeper.load(checkpoint_at(files[2], three | {"fp8_storage": "Enable"}))
    assert there == [False]
    assert second.model.loaded and third.model.loaded
    # With nothing left to drop it is tried all the same, as without anything kept.
    available["bytes"] = 0
    assert keeper.load(checkpoint_at(files[0], three)).model.loaded
    assert not keeper.facts().cached


@pytest.mark.long
def test_a_job_that_needs_the_room_gets_it(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    three = {"sd_checkpoints_limit": 3}
    loaded = [keeper.load(checkpoint_at(path, three)) for path in files]

    def memory(device: torch.device) -> tuple[int, int]:
        return 3000 * MB + sum(0 if one.model.loaded else 500 * MB for one in loaded), 8000 * MB

    monkeypatch.setattr(placement_module, "memory_now", memory)
    monkeypatch.setattr(cache_module.ModelCache, "on_device", property(lambda self: 500 * MB * len(self._models)))
    keeper.fit(RequestSize(512, 512))
    assert [one.model.loaded for one in loaded] == [True, True, True]
    # In fp32 the toy's VAE wants 272 bytes a pixel: 2304 x 2048 takes 1.3 GB, and 2 GB are to stay free.
    keeper.fit(RequestSize(2304, 2048))
    assert [one.model.loaded for one in loaded] == [False, True, True]
    with pytest.raises(OutOfBudget, match="on this machine"):
        keeper.fit(RequestSize(8192, 8192))
    assert [one.model.loaded for one in loaded] == [False, True, True]


def test_after_running_out_of_memory_the_cached_go_before_a_thriftier_mode_and_only_once(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line()
    engine: Engine = OnCard(line)
    tries: list[int] = []
    real = run_job

    def runs_out(command: RunJob, models: ModelKeeper, *more: object) -> None:
        for file in (checkpoint_at(files[1], TWO), command.checkpoint):
            models.load(file)
        tries.append(len(models.facts().cached))
        if command.job_id == "b" or len(tries) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(command, models, *more)  # type: ignore[arg-type]  # arguments passed on

    monkeypatch.setattr(engine_module, "run_job", runs_out)
    engine._run(job(checkpoint_at(files[0], TWO), "a"), JobControl())
    assert tries == [1, 0]
    assert "kept there were dropped" in line.of(JobFinished)[-1].notices[0]
    assert not line.of(JobFailed)
    tries.clear()
    engine._run(job(checkpoint_at(files[0], TWO), "b"), JobControl())
    assert tries == [1, 0]
    assert line.of(JobFailed)[-1].job_id == "b"


@pytest.mark.long
def test_a_job_without_a_checkpoint_gets_all_memory(files: list[Path]) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    loaded = [keeper.load(checkpoint_at(path, TWO)) for path in files[:2]]
    assert keeper.make_room()
    assert not any(one.model.loaded for one in loaded)
    assert not keeper.make_room()


@pytest.mark.long
def test_unloading_returns_the_memory_of_the_cached_too(files: list[Path], tmp_path: Path) -> None:
    """What is left is less than a fifth of the 20 MB that each toy takes."""
    vae = write_vae(tmp_path / "soft.safetensors")
    options: dict[str, Any] = {"sd_checkpoints_limit": 3, "sd_vae_checkpoint_cache": 1}
    keeper = ModelKeeper(CPU, Line().emit)
    process = psutil.Process()
    keeper.load(checkpoint_at(files[0]))
    keeper.unload()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(2):
        for path in files:
            keeper.load(checkpoint_at(path, options))
        keeper.load(with_vae(files[2], vae, options))
        held = process.memory_info().rss - before
        assert held > 0.8 * 3 * keeper.placement.weights > 36 * MB
        keeper.unload()
        assert process.memory_info().rss - before < 0.2 * held / 3


@pytest.mark.long
def test_weights_in_8_bits_are_kept_beside_whole_ones(files: list[Path], reads: Reads) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    whole = keeper.load(checkpoint_at(files[0], TWO))
    small = keeper.load(checkpoint_at(files[0], TWO | {"fp8_storage": "Enable"}))
    assert small.weights < whole.weights
    assert keeper.load(checkpoint_at(files[0], TWO | {"fp8_storage": "Enable for SDXL"})) is whole
    assert keeper.load(checkpoint_at(files[0], TWO | {"fp8_storage": "Enable"})) is small
    assert len(reads) == 2


@pytest.mark.long
def test_memory_that_runs_out_while_a_cached_one_comes_back_is_reported_and_it_is_read_the_next_time(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, reads: Reads
) -> None:
    line = Line()
    keeper = ModelKeeper(CPU, line.emit)
    first, _ = (keeper.load(checkpoint_at(path, TWO)) for path in files[:2])

    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(keeper.placement, "take", no_room)
        with pytest.raises(torch.OutOfMemoryError):
            keeper.load(checkpoint_at(files[0], TWO))
    assert "Not enough memory" in line.of(CheckpointFailed)[-1].cause
    assert not first.model.loaded
    assert keeper.load(checkpoint_at(files[0], TWO)).model.loaded
    assert reads == ["a.safetensors", "b.safetensors", "a.safetensors"]


@pytest.mark.long
def test_a_cached_checkpoint_is_not_moved_on_a_cpu_whatever_the_setting_says(files: list[Path]) -> None:
    keeper = ModelKeeper(replace(CPU), Line().emit)
    options = TWO | {"sd_checkpoints_keep_in_cpu": False}
    first = keeper.load(checkpoint_at(files[0], options))
    place = first.model.unet.conv_in.weight.data_ptr()
    keeper.load(checkpoint_at(files[1], options))
    assert keeper.load(checkpoint_at(files[0], options)) is first
    assert first.model.unet.conv_in.weight.data_ptr() == place
