"""The fast mode: it says why it is off, and a compilation that fails leaves the UNet as it was."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.hardware import compiling
from modules.hardware.compiling import slow_down, speed_up
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
    assert "on cpu it gains nothing" in speed_up(unet, torch.device("cpu"), "full")
    assert "--lowvram moves weights" in speed_up(unet, CUDA, "lowvram")
    monkeypatch.setattr(compiling, "has_triton", lambda: False)
    assert "triton" in speed_up(unet, CUDA, "full")
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
    said = speed_up(unet, CUDA, "full")
    assert said.startswith("off: compiling failed with ") and "The fast mode failed" in caplog.text
    assert compiled(unet) == 0


def test_the_blocks_that_repeat_are_the_ones_compiled(
    unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "has_triton", lambda: True)
    monkeypatch.setattr(compiling, "_trial", lambda unet, device: None)
    assert speed_up(unet, CUDA, "full").startswith("on: ")
    blocks = [module for module in unet.modules() if module._compiled_call_impl is not None]
    assert len(blocks) == 7 and {type(block).__name__ for block in blocks} == {"BasicTransformerBlock"}
    slow_down(unet)
    assert compiled(unet) == 0
