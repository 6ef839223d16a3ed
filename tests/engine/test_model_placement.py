"""Where a checkpoint lies for a job: what is requested, by whom, and what is refused before it starts."""

from __future__ import annotations

import gc
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from modules.catalogue import ModelFolders
from modules.engine import model_placement as placement_module
from modules.engine.control import JobControl
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job import run_job
from modules.engine.job_models import JobModels
from modules.engine.loaded import requested_prediction, stored_in_8_bits
from modules.engine.model_keeper import ModelKeeper
from modules.engine.model_placement import ModelPlacement, request_size, requested_memory
from modules.engine.upscalers import UpscalerKeeper
from modules.families import COSXL, FAMILIES, PLAYGROUND, SDXL_REFINER
from modules.families import SDXL as SDXL_FAMILY
from modules.hardware.attention import scores_of
from modules.hardware.available_memory import MAIN_RESERVE
from modules.hardware.budget import MemoryMode, OutOfBudget, RequestSize, peak
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.compiling import FastMode
from modules.hardware.graphs import REPLAYED, StepGraphs
from modules.hardware.model_size import size_of
from modules.hardware.offload import Offloader
from modules.parameters import parse_request, resolve
from modules.parameters.job_options import EncodingOptions
from modules.parameters.load_options import LoadOptions
from modules.protocol import CheckpointLoaded, ImageReady, Notice
from modules.settings import Paths, parse_flags
from modules.settings.groups import option_keys, read_options
from modules.settings.tables import OPTIONS
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Predicts
from tests.checkpoints import write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at, job
from tests.engine.test_models import Line
from tests.hardware.test_budget import SDXL
from tests.place_recorder import PlaceRecorder

CPU = choose_hardware(HardwareRequest(use_cpu=True, no_half=True))
CARD = replace(CPU, device=torch.device("cuda"))
MB = 10**6


@pytest.mark.parametrize(
    ("options", "flagged", "expected"),
    [
        ({}, None, None),
        ({}, "medvram", "medvram"),
        ({"memory_mode": "lowvram"}, "medvram", "lowvram"),
        ({"memory_mode": "full"}, "medvram", "full"),
        ({"memory_mode": "Automatic"}, "lowvram", "lowvram"),
        ({"checkpoint_memory": ["other.ckpt: lowvram", "a.safetensors: medvram"]}, "lowvram", "medvram"),
        ({"checkpoint_memory": ["a.safetensors:automatic"], "memory_mode": "lowvram"}, "medvram", None),
        ({"checkpoint_memory": ["a.safetensors", "a.safetensors: some"]}, None, None),
    ],
)
def test_a_checkpoints_own_entry_goes_before_the_setting_and_that_before_the_flag(
    options: dict[str, Any], flagged: MemoryMode | None, expected: MemoryMode | None
) -> None:
    assert requested_memory(read_options(LoadOptions, options), ("a", "a.safetensors"), flagged) == expected


def sized(**values: object) -> RequestSize:
    resolved = resolve(parse_request({"prompt": "a"} | values), options={}, rng=random.Random(0))
    return request_size(resolved, together=4)


def test_the_largest_pass_counts() -> None:
    assert sized(width=512, height=640, batch_size=8) == RequestSize(512, 640, 4, 2)
    assert sized(enable_hr=True, hr_scale=2.0, hr_upscaler="Latent") == RequestSize(1024, 1024, 1, 2)
    assert sized(enable_hr=True, hr_scale=2.0, hr_upscaler="Lanczos").encodes
    assert sized(prompt="a AND b AND c").rows_per_image == 4


@pytest.fixture
def on_a_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A tiny checkpoint on a card that is only claimed: its free bytes are what the test says."""
    free = {"bytes": 10**10}
    monkeypatch.setattr(ModelPlacement, "_free", lambda self: free["bytes"])
    moves: list[tuple[str, int]] = []
    monkeypatch.setattr(Offloader, "apply", lambda self, mode, resident=0: moves.append((mode, resident)))
    placed = ModelPlacement(CARD)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    return placed, model, free, moves


def test_each_job_is_placed_anew_and_moved_only_when_it_must_be(on_a_card: Any) -> None:
    placed, model, free, moves = on_a_card
    assert placed.take(model, None).mode == "full"
    placed.fit(RequestSize(512, 512), None)
    assert moves == [("full", 0)]
    # In fp32 the UNet of the toy wants 3.3 kB a cell and row beside 22 MB of weights: 8192² is 7 GB.
    free["bytes"] = 3000 * MB
    assert placed.fit(RequestSize(2048, 1024), "medvram").mode == "medvram"
    assert placed.fit(RequestSize(2048, 1024), "medvram").mode == "medvram"
    assert placed.fit(RequestSize(512, 512), None).mode == "full"
    assert [mode for mode, _ in moves] == ["full", "medvram", "full"]
    with pytest.raises(OutOfBudget, match=r"8192×8192 needs about .* even with --lowvram, and 3\.0 GB are free"):
        placed.fit(RequestSize(8192, 8192), None)


def test_the_unet_stays_where_it_is_while_free_memory_wavers(on_a_card: Any) -> None:
    """A desktop takes and gives back some megabytes all the time; the reserve of 300 has room for that."""
    placed, model, free, moves = on_a_card
    placed.take(model, None)
    placed._size = SDXL
    moves.clear()
    for millions in (4000, 3950, 3900, 4400, 3890, 4600):
        free["bytes"] = millions * MB
        placed.fit(RequestSize(1024, 1024), None)
    assert [mode for mode, _ in moves] == ["lowvram"] * 3
    first, less, more = (resident for _, resident in moves)
    assert (first - less, more - first) == (110 * MB, 600 * MB)
    assert placed.plan.resident == more


def test_after_running_out_a_faster_mode_is_not_tried_again_whoever_asks(on_a_card: Any) -> None:
    placed, model, _, _ = on_a_card
    placed.take(model, None)
    assert placed.step_down() == "medvram"
    assert placed.fit(RequestSize(64, 64), None).mode == "medvram"
    assert placed.step_down() == "lowvram"
    assert placed.fit(RequestSize(64, 64), "medvram").mode == "lowvram"
    assert placed.step_down() is None


def test_what_comes_and_goes_is_read_to_main_memory(on_a_card: Any) -> None:
    placed, _, free, _ = on_a_card
    assert placed.loads_to(1000 * MB, None).type == "cuda"
    assert placed.loads_to(1000 * MB, "lowvram").type == "cpu"
    free["bytes"] = 1000 * MB
    assert placed.loads_to(1000 * MB, None).type == "cpu"
    assert ModelPlacement(CPU).loads_to(10**12, "lowvram").type == "cpu"


def test_a_checkpoint_on_a_card_that_is_too_small_for_its_own_size_still_loads(on_a_card: Any) -> None:
    placed, model, free, moves = on_a_card
    free["bytes"] = 20 * MB
    assert placed.take(model, None).mode == "lowvram"
    assert moves == [("lowvram", 0)]


def test_the_vae_works_in_tiles_only_while_a_job_needs_them(on_a_card: Any) -> None:
    placed, model, _, _ = on_a_card
    placed.take(model, None)
    with placed.tiles(True):
        assert model.vae.use_tiling and model.vae.tile_latent_min_size == 64
    assert not model.vae.use_tiling
    with placed.tiles(False):
        assert not model.vae.use_tiling


def test_a_cpu_refuses_what_main_memory_cannot_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    line = Line()
    keeper = ModelKeeper(CPU, line.emit)
    keeper.load(checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors")))
    monkeypatch.setattr(placement_module, "memory_now", lambda device: (1000 * MB, 2000 * MB))
    assert keeper.fit(RequestSize(512, 512)).mode == "full"
    with pytest.raises(OutOfBudget, match=r"8192×8192 needs about .* on this machine, and 1\.0 GB are free"):
        keeper.fit(RequestSize(8192, 8192))


@pytest.mark.parametrize("mode", ["medvram", "lowvram"])
def test_a_cpu_moves_nothing_whatever_is_requested(mode: MemoryMode, tmp_path: Path) -> None:
    keeper = ModelKeeper(CPU, Line().emit, mode)
    keeper.load(checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors")))
    plan = keeper.placement.plan
    assert plan is not None
    assert plan.mode == "full" and plan.why.endswith(f"{mode} was requested, but no card has memory of its own here")
    assert "requested" not in keeper.placement.fit(RequestSize(64, 64), None).why


@pytest.mark.long
def test_unloading_returns_the_memory(tmp_path: Path) -> None:
    """The process is as large after it as before: what is left is less than a fifth of the 20 MB of a toy."""
    path = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    keeper = ModelKeeper(CPU, Line().emit)
    process = psutil.Process()
    keeper.load(checkpoint_at(path))
    keeper.unload()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(2):
        keeper.load(checkpoint_at(path))
        held = process.memory_info().rss - before
        assert held > 0.8 * keeper.placement.weights > 12 * MB
        keeper.unload()
        assert keeper.placement.weights == 0
        assert process.memory_info().rss - before < 0.2 * held


def infotext_of(keeper: ModelKeeper, options: dict[str, Any], path: Any) -> str:
    line = Line()
    keeper._emit = line.emit
    upscalers = UpscalerKeeper(CPU, ModelFolders.from_paths(Paths.from_flags(parse_flags([], {}))))
    command = job(checkpoint_at(path, options), "a", options=options)
    with FinishedPictures() as pictures:
        run_job(command, keeper, upscalers, JobControl(), CPU, line.emit, pictures)
    return str(line.of(ImageReady)[0].infotext)


def test_weights_in_8_bits_are_of_the_families_that_the_setting_names(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    wanted = {
        "Disable": set(),
        "Enable for SDXL": {SDXL_FAMILY, SDXL_REFINER, PLAYGROUND, COSXL},
        "Enable": set(FAMILIES),
    }
    for setting, families in wanted.items():
        file = checkpoint_at(path, {"fp8_storage": setting})
        assert {family for family in FAMILIES if stored_in_8_bits(file, family)} == families


@pytest.mark.long
def test_weights_in_8_bits_are_recorded_only_where_they_are_used(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    keeper = ModelKeeper(CPU, Line().emit)
    whole = infotext_of(keeper, {"fp8_storage": "Enable for SDXL"}, path)
    assert "FP8" not in whole
    assert "FP8 weight: Enable" in infotext_of(keeper, {"fp8_storage": "Enable"}, path)
    assert keeper.facts().unet_dtype == "fp32, stored in fp8"
    assert "FP8" not in infotext_of(keeper, {}, path)
    assert keeper.facts().unet_dtype == "fp32"


def test_attention_changes_without_loading_again_and_the_fast_mode_says_why_it_is_off(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    line = Line()
    keeper = ModelKeeper(CPU, line.emit)
    first = keeper.load(checkpoint_at(path))
    options = {"cross_attention_optimization": "sub-quadratic", "fast_mode": True}
    assert keeper.load(checkpoint_at(path, {"upcast_attn": True})) is first
    assert keeper.facts().attention == "sdp, in 32 bits"
    assert keeper.load(checkpoint_at(path, options)) is first
    keeper.fit(RequestSize(64, 64))
    facts = keeper.facts()
    assert (facts.attention, "setting" in facts.attention_why) == ("sub-quad", True)
    assert "on cpu it gains nothing" in facts.fast_mode
    assert sum("Fast mode: off" in notice.text for notice in line.of(Notice)) == 1
    keeper.load(checkpoint_at(path))
    keeper.fit(RequestSize(64, 64))
    assert (keeper.facts().attention, keeper.facts().fast_mode) == ("sdp", "")
    assert len(line.of(CheckpointLoaded)) == 1


def test_steps_are_replayed_in_the_fast_mode_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = FastMode("nothing is compiled", StepGraphs(PlaceRecorder))
    monkeypatch.setattr("modules.engine.model_keeper.speed_up", lambda *_: fast)
    file = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"), {"fast_mode": True})
    keeper = ModelKeeper(CPU, Line().emit)
    models = JobModels(keeper, CPU, job(file, "fast").resolved)
    pipeline = models.pipeline(file)
    assert pipeline.graphs is fast.graphs
    assert keeper.facts().fast_mode == f"{REPLAYED}; nothing is compiled"
    assert keeper.placement.plan is not None
    keeper.placement.plan = replace(keeper.placement.plan, recorded=False)
    assert models.pipeline(file).graphs is None
    plain = JobModels(keeper, CPU, job(checkpoint_at(Path(file.path)), "plain").resolved)
    assert plain.pipeline(checkpoint_at(Path(file.path))).graphs is None


def test_recorded_steps_are_done_without_before_a_thriftier_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold a step's work, and nothing else has to change for all jobs to come."""
    fast = FastMode("nothing is compiled", StepGraphs(PlaceRecorder))
    monkeypatch.setattr("modules.engine.model_keeper.speed_up", lambda *_: fast)
    file = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"), {"fast_mode": True})
    keeper = ModelKeeper(CPU, Line().emit)
    assert not keeper.stop_replaying()
    JobModels(keeper, CPU, job(file, "fast").resolved).pipeline(file)
    assert keeper.stop_replaying() and not keeper.stop_replaying()
    assert keeper.facts().fast_mode == "steps are not replayed: memory ran out; nothing is compiled"


def test_memory_that_the_c_library_holds_is_taken_back_before_a_job_does_with_less(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    keeper.load(checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors")))
    free = [1000 * MB]
    monkeypatch.setattr(placement_module, "memory_now", lambda device: (free[0], 8000 * MB))
    monkeypatch.setattr(placement_module, "give_back_memory", lambda: free.insert(0, 3000 * MB))
    assert not keeper.fit(RequestSize(512, 512)).tiled
    assert free == [1000 * MB]
    assert not keeper.fit(RequestSize(2304, 2048)).tiled
    assert free == [3000 * MB, 1000 * MB]


def test_the_options_of_loading_are_declared_and_travel() -> None:
    assert all(OPTIONS[key].travels or OPTIONS[key].changes_picture for key in option_keys(LoadOptions).values())


def test_the_attention_that_the_setting_asks_for_is_reckoned_with(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    models = ModelKeeper(CPU, Line().emit)
    peaks = {}
    for setting in ("Automatic", "V1", "None", "sub-quadratic"):
        models.load(checkpoint_at(path, {"cross_attention_optimization": setting}))
        peaks[setting] = models.fit(RequestSize(512, 512)).peak
    # All the scores of two rows with 8 heads of 4096 tokens, twice in 32 bits.
    assert peaks["None"] > peaks["V1"] > peaks["Automatic"] == peaks["sub-quadratic"]
    assert peaks["None"] - peaks["V1"] == 2 * (16 - 2) * 4096**2 * 4


def test_cached_encodings_are_reckoned_with_and_go_where_their_room_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ModelKeeper(CPU, Line().emit)
    loaded = models.load(checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors")))
    request = RequestSize(512, 512)
    model = loaded.model
    size = size_of(model.unet, model.vae, *model.text_encoders)
    needed = peak(size, request, "full", scores=scores_of(loaded.attention), cpu=True)
    for number in range(20):
        loaded.encoder.encode((f"cat {number}",), EncodingOptions())
    held = loaded.encoder.cached_bytes
    assert held == 20 * 77 * 64 * 4
    # What is free goes up with what they give back; it is enough with half of that.
    rest = needed + MAIN_RESERVE - models.placement.weights - held // 2

    def memory_now(device: Any) -> Any:
        free = rest + held - loaded.encoder.cached_bytes
        return free, free

    monkeypatch.setattr(placement_module, "memory_now", memory_now)
    plan = models.fit(request)
    assert (plan.mode, plan.tiled) == ("full", False)
    assert loaded.encoder.cached_bytes == 0
    # With room for both they stay.
    loaded.encoder.encode(("cat",), EncodingOptions())
    rest += 10 * held
    models.fit(request)
    assert loaded.encoder.cached_bytes == held // 20


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [((), None), (("a.safetensors: v_prediction",), Predicts("v_prediction")),
     (("b.ckpt: epsilon", "a.safetensors:v_prediction ztsnr"), Predicts("v_prediction", zero_terminal_snr=True)),
     (("a.safetensors: edm",), Predicts("edm")),
     (("a.safetensors: velocity", "a.safetensors"), None), (("C:/x/a.safetensors: epsilon",), None)],
)  # fmt: skip
def test_what_a_checkpoint_predicts_can_be_said(entries: tuple[str, ...], wanted: Predicts | None) -> None:
    options = LoadOptions(checkpoint_prediction=entries)
    assert requested_prediction(options, ("sub/a.safetensors", "a.safetensors")) == wanted
