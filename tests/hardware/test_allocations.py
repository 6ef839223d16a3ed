"""The formulas of the budget against what PyTorch's own profiler sees allocated in real forwards on this processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, get_args

import pytest
import torch

from modules.generation.token_merging import tokens_merged
from modules.hardware.attention import AttentionChoice, AttentionName, apply_attention, scores_of
from modules.hardware.budget import ModelSize, RequestSize, unet_work, vae_work
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.model_size import size_of
from tests.amounts import some
from tests.checkpoints import Architecture, Modules, make_modules

# The UNet is narrow enough to be quick. The VAE has the two levels that cost most, as wide as SD 1.5's: what a
# convolution copies depends on that.
NARROW: Final = Architecture(
    unet_channels=(32, 64, 128), unet_attention=(True, True, False), vae_channels=(128, 256), vocabulary=512
)
FACTOR: Final = 2
# 32 bits, and what this processor gets: other types it may only emulate.
TYPES: Final = list(dict.fromkeys((torch.float32, choose_hardware(HardwareRequest(use_cpu=True)).unet_dtype)))

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]  # unannotated in torch
    reason="its convolutions are others",
)


def allocated(run: Callable[[], object]) -> int:
    """The most bytes that lie allocated at once while `run` works, beside what lay there before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    results = profiler.profiler.kineto_results
    live = peak = 0
    for event in sorted(results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def test_the_profiler_sees_what_is_allocated() -> None:
    """A megabyte that stays, and four more for a moment."""
    retained = []

    def run() -> None:
        retained.append(torch.empty(1 << 20, dtype=torch.uint8))
        torch.empty(4 << 20, dtype=torch.uint8)
        retained.append(torch.empty(2 << 20, dtype=torch.uint8))

    assert allocated(run) == 5 << 20


@pytest.fixture(scope="module", params=TYPES, ids=str)
def modules(request: pytest.FixtureRequest) -> Modules:
    made = make_modules(NARROW)
    for part in (made.unet, made.vae):
        for parameter in part.parameters():
            parameter.data = parameter.data.to(request.param)
    return made


@pytest.fixture(params=[torch.contiguous_format, torch.channels_last], ids=str)
def layout(request: pytest.FixtureRequest, modules: Modules) -> torch.memory_format:
    parts: tuple[Any, ...] = (modules.unet, modules.vae)  # torch declares `to` without a memory format
    for part in parts:
        part.to(memory_format=request.param)
    chosen: torch.memory_format = request.param
    return chosen


def size(modules: Modules, factor: int = FACTOR) -> ModelSize:
    return replace(size_of(modules.unet, modules.vae, *modules.text_encoders), vae_factor=factor)


@torch.inference_mode()
def unet_allocated(modules: Modules, request: RequestSize, ratio: float = 0.0) -> int:
    dtype, cells = modules.unet.dtype, (request.height // 8, request.width // 8)
    latents = torch.randn(request.rows, 4, *cells, dtype=dtype)
    context = torch.randn(request.rows, 77, 64, dtype=dtype)
    with tokens_merged(modules.unet, ratio, cells, torch.device("cpu")):
        return allocated(lambda: modules.unet(latents, 500, context))


@torch.inference_mode()
def vae_allocated(modules: Modules, request: RequestSize) -> int:
    vae, dtype = modules.vae, modules.vae.dtype
    if request.encodes:
        pixels = torch.randn(1, 3, request.height, request.width, dtype=dtype)
        return allocated(lambda: vae.encode(pixels).latent_dist.mode())
    latent = torch.randn(1, 4, request.height // FACTOR, request.width // FACTOR, dtype=dtype)
    return allocated(lambda: vae.decode(latent))


@pytest.mark.parametrize("ratio", [0.0, 0.5], ids=["whole", "merged"])
@pytest.mark.parametrize("request_", some([RequestSize(256, 256), RequestSize(384, 256, rows_per_image=1)], 1), ids=str)
def test_the_unet_allocates_what_is_estimated(
    modules: Modules, layout: torch.memory_format, request_: RequestSize, ratio: float
) -> None:
    """Never less is estimated, and at most a fifth more; to merge tokens takes no more than what comes later."""
    really, estimate = unet_allocated(modules, request_, ratio), unet_work(size(modules, 8), request_)
    assert 0.97 * really <= estimate <= 1.2 * really


@pytest.mark.parametrize("name", some([name for name in get_args(AttentionName) if name != "xformers"], 3))
def test_each_attention_allocates_what_is_estimated(modules: Modules, name: AttentionName) -> None:
    choice, request = AttentionChoice(name, ""), RequestSize(256, 256)
    apply_attention(modules.unet, choice)
    try:
        really = unet_allocated(modules, request)
    finally:
        apply_attention(modules.unet, AttentionChoice("sdp", ""))
    estimate = unet_work(size(modules, 8), request, scores=scores_of(choice))
    assert 0.97 * really <= estimate <= 1.1 * really


def test_decoding_allocates_what_is_estimated(modules: Modules, layout: torch.memory_format) -> None:
    """At most a half more is estimated: which copies the convolutions make depends on layout, type and processor."""
    request = RequestSize(112, 80)
    really = vae_allocated(modules, request)
    most = 1.35 if modules.vae.dtype == torch.float32 else 1.6
    assert 0.97 * really <= vae_work(size(modules), request, cpu=True) <= most * really


def test_encoding_allocates_no_more_than_is_estimated(modules: Modules, layout: torch.memory_format) -> None:
    request = RequestSize(112, 80, encodes=True)
    really = vae_allocated(modules, request)
    assert really <= vae_work(size(modules), request, cpu=True) <= 2.1 * really
