"""Checkpoints cached on a card, moved to main memory, and dropped. The meta device stands for the card."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from modules.engine import model_cache as model_cache_module
from modules.engine.loaded import LoadedModel, Origin
from modules.engine.model_cache import CacheLimits, ModelCache
from modules.engine.model_placement import ModelPlacement
from modules.hardware.available_memory import MAIN_RESERVE, MainMemory
from modules.hardware.budget import OutOfBudget, RequestSize
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.offload import Offloader
from modules.parameters.job_options import EncodingOptions
from modules.parameters.load_options import LoadOptions
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.networks.merging import NetworkMerger
from tests.checkpoints import Architecture, write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at

CARD = replace(choose_hardware(HardwareRequest(use_cpu=True, no_half=True)), device=torch.device("cuda"))
SMALL = Architecture(vae_channels=(16, 16))
MB = 10**6


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Main memory as the test says: bytes that are available."""
    free = {"bytes": 10**12}
    monkeypatch.setattr(model_cache_module, "main_memory", lambda: MainMemory(free["bytes"], 10**12))
    return free


@pytest.fixture
def on_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], LoadedModel]:
    """Gives checkpoints whose weights lie on the card."""
    monkeypatch.setattr(nn.Module, "to", lambda self, device: self.to_empty(device=device))

    def made(name: str) -> LoadedModel:
        path = write_tiny_checkpoint(tmp_path / f"{name}.safetensors", architecture=SMALL)
        model, origin, known = load_checkpoint(path), Origin.of(path), Future[str]()
        encoder = PromptEncoder(model, clip_tokenizer())
        encoder.encode(("a",), EncodingOptions())
        networks = NetworkMerger(model, CARD.device)
        loaded = LoadedModel(checkpoint_at(path), origin, origin, model, encoder, known, CARD.attention, networks)
        for part in loaded.parts:
            part.to("meta")
        assert not loaded.in_main_memory
        return loaded

    return made


def places(cache: ModelCache) -> dict[str, bool]:
    """Which are cached, and whether on the card; the last used first."""
    return {Path(one.name).stem: one.on_device for one in cache.listed()}


@pytest.mark.long
def test_only_the_one_in_use_is_on_the_card_unless_the_setting_says_otherwise(
    on_card: Callable[[str], LoadedModel], main: dict[str, int]
) -> None:
    cache = ModelCache(CARD.device)
    old, new = on_card("old"), on_card("new")
    cache.add(old)
    cache.add(new)
    both = cache.on_device
    assert both == old.memory + new.memory > old.weights + new.weights > 0
    cache.apply(
        CacheLimits.of(LoadOptions(sd_checkpoints_limit=2, sd_checkpoint_cache=1, sd_checkpoints_keep_in_cpu=False))
    )
    assert places(cache) == {"new": True, "old": False}
    assert cache.on_device == both // 2
    assert not old.encoder.cached_bytes and new.encoder.cached_bytes  # the encodings would have stayed on the card
    cache.apply(CacheLimits.of(LoadOptions(sd_checkpoints_limit=3)))
    assert places(cache) == {"new": False, "old": False}
    assert cache.on_device == 0
    cache.apply(CacheLimits.of(LoadOptions(sd_checkpoints_limit=2)))
    assert places(cache) == {"new": False} and not old.model.loaded


def test_they_go_to_main_memory_the_oldest_first_until_there_is_room_and_are_dropped_where_that_is_full(
    on_card: Callable[[str], LoadedModel], main: dict[str, int]
) -> None:
    cache = ModelCache(CARD.device)
    loaded = [on_card(name) for name in "abc"]
    for one in loaded:
        cache.add(one)
    cache.apply(CacheLimits.of(LoadOptions(sd_checkpoints_limit=4, sd_checkpoints_keep_in_cpu=False)))
    weights, memory = loaded[0].weights, loaded[0].memory
    cache.free_device(lambda: cache.on_device <= 2 * memory)
    assert places(cache) == {"c": True, "b": True, "a": False}
    # No room for another in main memory: the older one there goes, which is too little, so the next one is dropped.
    main["bytes"] = weights + MAIN_RESERVE - 1
    cache.free_device(lambda: cache.on_device <= memory)
    assert places(cache) == {"c": True}
    assert [one.model.loaded for one in loaded] == [False, False, True]


@pytest.mark.long
def test_after_running_out_what_is_on_the_card_is_dropped_and_none_comes_there_until_the_next_job(
    on_card: Callable[[str], LoadedModel], main: dict[str, int]
) -> None:
    wanted = CacheLimits.of(LoadOptions(sd_checkpoints_limit=4, sd_checkpoints_keep_in_cpu=False))
    cache = ModelCache(CARD.device)
    for name in "ab":
        cache.add(on_card(name))
    cache.apply(replace(wanted, on_device=1))
    assert cache.drop_on_device()
    assert places(cache) == {"a": False}
    assert not cache.drop_on_device()
    cache.add(on_card("c"))
    cache.apply(wanted)
    assert places(cache) == {"c": False, "a": False}
    cache.sparing = False
    cache.add(on_card("d"))
    cache.apply(wanted)
    assert places(cache) == {"d": True, "c": False, "a": False}
    cache.leave_device()
    assert places(cache) == {"d": False, "c": False, "a": False}


class Neighbour:
    """Another checkpoint's bytes on the card."""

    def __init__(self, size: int) -> None:
        self.on_device = size

    def free_device(self, enough: Callable[[], bool]) -> None:
        if not enough():
            self.on_device = 0


def test_a_neighbour_leaves_before_a_thriftier_way_is_taken_but_not_for_decoding_beside_the_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Offloader, "apply", lambda self, mode, resident=0: None)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    card = {"bytes": 0}
    neighbour = Neighbour(500 * MB)
    placed = ModelPlacement(CARD, neighbour)
    monkeypatch.setattr(placed, "_free", lambda: card["bytes"] - neighbour.on_device)
    monkeypatch.setattr(placed, "_offloader", Offloader(CARD.device, model.unet, (model.vae, *model.text_encoders)))
    card["bytes"] = 10**10
    assert placed.take(model, None).mode == "full"
    # In fp32 the toy takes 0.8 GB and the reserve at 2048 x 1024, a decode of its own 0.4 GB.
    request = RequestSize(2048, 1024)
    card["bytes"] = 1400 * MB
    plan = placed.fit(request, None)
    assert (plan.mode, plan.decodes_alongside, neighbour.on_device) == ("full", False, 500 * MB)
    card["bytes"] = 1200 * MB
    plan = placed.fit(request, None)
    assert (plan.mode, plan.images, plan.tiled, neighbour.on_device) == ("full", 1, False, 0)
    # Where everything would not be enough nobody has to leave.
    neighbour.on_device, card["bytes"] = 100 * MB, 700 * MB
    with pytest.raises(OutOfBudget, match="choose a smaller size"):
        placed.fit(RequestSize(8192, 8192), None)
    assert neighbour.on_device == 100 * MB
    # A file comes to the card where it has room once others have left.
    card["bytes"] = 1200 * MB
    assert placed.loads_to(850 * MB, None).type == "cuda"
    assert neighbour.on_device == 0
