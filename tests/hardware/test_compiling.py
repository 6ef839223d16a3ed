"""The fast mode: it says why it is off, and a compilation that fails leaves the UNet as it was."""

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from modules.hardware import compiling
from modules.hardware.budget import MemoryMode
from modules.hardware.compiling import slow_down, speed_up
from modules.hardware.fp8_weights import store_in_8_bits
from modules.hardware.graphs import REPLAYED
from tests.checkpoints import Architecture, make_modules

CUDA = torch.device("cuda")

# torch's compiler imports a part of torch that warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")


@pytest.fixture
def unet() -> UNet2DConditionModel:
    return make_modules(Architecture(vocabulary=512)).unet


def compiled(unet: UNet2DConditionModel) -> int:
    return sum(module._compiled_call_impl is not None for module in unet.modules())


def test_it_says_why_it_is_off(unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    cases: tuple[tuple[str, MemoryMode, str], ...] = (
        ("cpu", "full", "on cpu it gains nothing"),
        ("cuda", "lowvram", "--lowvram moves"),
    )
    for device, mode, why in cases:
        fast = speed_up(unet, torch.device(device), mode)
        assert fast.summary.startswith("off: ") and why in fast.summary and fast.graphs is None
    assert compiled(unet) == 0


def test_without_a_compiler_steps_are_replayed_all_the_same(
    unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where PyTorch comes without triton."""
    monkeypatch.setattr(compiling, "has_triton", lambda: False)
    fast = speed_up(unet, CUDA, "full")
    assert fast.summary.startswith(f"{REPLAYED}; nothing is compiled, which needs the triton package")
    assert fast.graphs is not None and compiled(unet) == 0
    fast.graphs.trouble = "recording failed"
    assert fast.summary.startswith("steps are not replayed: recording failed; nothing is compiled")


def test_weights_in_8_bits_are_not_compiled(unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives the same numbers, but 45 pieces for a tiny model's blocks."""
    monkeypatch.setattr(compiling, "has_triton", lambda: True)
    store_in_8_bits(unet)
    assert speed_up(unet, CUDA, "full").summary.startswith(f"{REPLAYED}; nothing is compiled, since each layer widens")
    assert compiled(unet) == 0


def test_a_failure_falls_back_to_the_plain_unet(
    unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As it does where the compiler is missing: at the first forward, when the blocks are marked already."""

    def without_a_compiler(unet: UNet2DConditionModel, device: torch.device) -> None:
        assert compiled(unet) == 7
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(compiling, "_trial", without_a_compiler)
    monkeypatch.setattr(compiling, "has_triton", lambda: True)
    summary = speed_up(unet, CUDA, "full").summary
    assert "; compiling failed with " in summary and "The fast mode failed" in caplog.text
    assert compiled(unet) == 0


def test_the_blocks_that_repeat_are_the_ones_compiled(
    unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "has_triton", lambda: True)
    monkeypatch.setattr(compiling, "_trial", lambda unet, device: None)
    assert speed_up(unet, CUDA, "full").summary == f"{REPLAYED}; the UNet's transformer blocks are compiled"
    blocks = [module for module in unet.modules() if module._compiled_call_impl is not None]
    assert len(blocks) == 7 and {type(block).__name__ for block in blocks} == {"BasicTransformerBlock"}
    slow_down(unet)
    assert compiled(unet) == 0


def test_the_trial_runs_in_the_mode_of_the_steps(unet: UNet2DConditionModel) -> None:
    """Code that was compiled under inference_mode does not serve tensors outside it: it would be compiled twice."""
    modes: list[tuple[bool, bool]] = []
    unet.register_forward_pre_hook(
        lambda *_: modes.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
    )
    compiling._trial(unet, torch.device("cpu"))
    assert modes == [(False, False)]
