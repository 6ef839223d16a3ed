"""What a job with a refiner needs is known before it starts: from the heads of files, in bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.catalogue.model_errors import ModelFileError
from modules.engine import model_placement as placement_module
from modules.engine.look_ahead import OutlookCache, planned_turns
from modules.engine.model_cache import CacheLimits, Turns
from modules.engine.model_keeper import ModelKeeper
from modules.engine.model_placement import ModelPlacement
from modules.hardware.budget import RESERVE, OutOfBudget, RequestSize, peak
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.parameters.load_options import LoadOptions
from modules.protocol import CheckpointFile, RunJob
from tests.amounts import some
from tests.checkpoints import TINY_REFINER, TINY_SDXL, Architecture, truncate, write_tiny_checkpoint, write_vae
from tests.engine.conftest import checkpoint_at
from tests.engine.test_model_cache import Reads, job, pictures, reads
from tests.engine.test_models import Line

__all__ = ["reads"]

CPU = choose_hardware(HardwareRequest(use_cpu=True, no_half=True))
CARD = replace(CPU, device=torch.device("cuda"), unet_dtype=torch.float16)
REQUEST = RequestSize(512, 512)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    toys = {"base": TINY_SDXL, "refiner": TINY_REFINER}
    base, refiner = (write_tiny_checkpoint(tmp_path / f"{n}.safetensors", architecture=a) for n, a in toys.items())
    return base, refiner


def refined(base: Path, refiner: Path, **values: Any) -> RunJob:
    values = {"refiner_checkpoint": "refiner", "refiner_switch_at": 0.5, "n_iter": 2} | values
    return job(checkpoint_at(base), "job", **values).model_copy(update={"refiner_checkpoint": checkpoint_at(refiner)})


@pytest.mark.parametrize("options", some([{}, {"fp8_storage": "Enable"}], 1), ids=some(["as it is", "8 bits"], 1))
@pytest.mark.parametrize("architecture", [Architecture(), TINY_SDXL], ids=["SD1", "SDXL"])
def test_a_files_head_says_what_the_loaded_checkpoint_takes(
    tmp_path: Path, architecture: Architecture, options: dict[str, Any]
) -> None:
    path = write_tiny_checkpoint(tmp_path / "a.safetensors", architecture=architecture, vae=False)
    vae = write_vae(tmp_path / "v.safetensors", architecture=architecture)
    file = checkpoint_at(path, options).model_copy(update={"vae_path": str(vae)})
    keeper = ModelKeeper(CPU, Line().emit)
    loaded = keeper.load(file)
    outlook = OutlookCache(CPU).of(file)
    assert outlook.size == keeper.placement._size and outlook.family is loaded.model.family


@pytest.mark.long
def test_a_base_and_its_refiner_are_read_once_for_all_pictures_of_a_job(pair: tuple[Path, Path], reads: Reads) -> None:
    """Though the settings allow one checkpoint in memory: no other is left there when the job is over."""
    keeper = ModelKeeper(CPU, Line().emit)
    made = pictures(keeper, refined(*pair))
    assert len(set(made)) == 3, "two pictures and their grid"
    assert reads == ["base.safetensors", "refiner.safetensors"]
    assert not keeper.facts().cached


def test_one_that_will_not_fit_is_refused_before_anything_is_loaded(
    pair: tuple[Path, Path], reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = ModelKeeper(CPU, Line().emit)
    base, refiner = (OutlookCache(CPU).of(checkpoint_at(path)).size for path in pair)
    size = RequestSize(512, 512, 1, 2)
    needed = [peak(one, size, "full", tiled=True, cpu=True) for one in (base, refiner)]
    assert needed[1] < needed[0]
    monkeypatch.setattr(placement_module, "memory_now", lambda device: (needed[1] - 1, 10**12))
    with pytest.raises(OutOfBudget, match=r"^base\.safetensors: 512×512 needs about .* on this machine"):
        pictures(keeper, refined(*pair, width=512, height=512))
    with pytest.raises(OutOfBudget, match=r"^refiner\.safetensors: 512×512 needs about"):
        pictures(keeper, refined(pair[1], pair[0], width=512, height=512))
    assert reads == []


def test_a_broken_refiner_is_found_before_the_base_draws(pair: tuple[Path, Path], reads: Reads) -> None:
    truncate(pair[1])
    with pytest.raises(ModelFileError, match=r"refiner\.safetensors"):
        pictures(ModelKeeper(CPU, Line().emit), refined(*pair))
    assert reads == []


@pytest.mark.long
def test_on_a_card_they_stay_together_where_both_fit_and_step_aside_where_not(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"bytes": 0}
    monkeypatch.setattr(ModelPlacement, "_free", lambda self: free["bytes"])
    placement, outlooks = ModelPlacement(CARD), OutlookCache(CARD)
    known: list[tuple[CheckpointFile, Any]] = [(file, outlooks.of(file)) for file in map(checkpoint_at, pair)]
    sizes = [one.size for _, one in known]
    whole = sum(size.weights for size in sizes)
    most = max(whole - size.weights + peak(size, REQUEST, "full") for size in sizes) + RESERVE
    for spare, turns in ((0, Turns(1)), (-1, Turns(1, step_aside=True))):
        free["bytes"] = most + spare
        assert planned_turns(placement, known, (None, None), REQUEST) == turns
    free["bytes"] = 1
    with pytest.raises(OutOfBudget, match=r"^base\.safetensors: .* even with --lowvram"):
        planned_turns(placement, known, (None, None), REQUEST)


@pytest.mark.parametrize(
    ("options", "turns", "limits"),
    [
        (LoadOptions(), Turns(), (0, 0)),
        (LoadOptions(), Turns(1), (1, 1)),
        (LoadOptions(), Turns(1, step_aside=True), (1, 0)),
        (LoadOptions(sd_checkpoints_limit=3), Turns(1), (2, 1)),
        (LoadOptions(sd_checkpoints_limit=3, sd_checkpoints_keep_in_cpu=False), Turns(1), (2, 2)),
        (LoadOptions(sd_checkpoints_limit=3, sd_checkpoints_keep_in_cpu=False), Turns(1, step_aside=True), (2, 0)),
    ],
)
def test_a_job_that_takes_turns_holds_more_than_the_limit(
    options: LoadOptions, turns: Turns, limits: tuple[int, int]
) -> None:
    found = CacheLimits.of(options, turns)
    assert (found.checkpoints, found.on_device) == limits
