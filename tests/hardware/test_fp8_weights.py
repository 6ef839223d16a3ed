"""Weights in 8 bits: half the memory, nearly the same answer, and in every memory mode the same one."""

from typing import Any

import pytest
import torch

from modules.hardware.device import module_bytes
from modules.hardware.fp8_weights import STORED, store_in_8_bits
from modules.hardware.offload import Offloader
from tests.amounts import some
from tests.checkpoints import Architecture, Modules, make_modules

CPU = torch.device("cpu")


@pytest.fixture
def modules() -> Modules:
    modules = make_modules(Architecture(vocabulary=512), seed=2)
    unet: Any = modules.unet  # torch declares `to` without a memory format
    unet.to(torch.bfloat16, memory_format=torch.channels_last)
    return modules


@torch.inference_mode()
def answer(modules: Modules) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 8, 8, generator=generator).bfloat16()
    context = torch.randn(2, 77, 64, generator=generator).bfloat16()
    predicted: torch.Tensor = modules.unet(latents, 400, context).sample.float()
    return predicted


def test_half_the_memory_for_nearly_the_same_answer(modules: Modules) -> None:
    before, expected = module_bytes(modules.unet), answer(modules)
    spared = store_in_8_bits(modules.unet)
    assert module_bytes(modules.unet) == before - spared < 0.6 * before
    assert modules.unet.dtype is torch.bfloat16  # what the rest of the program asks for
    got = answer(modules)
    assert got.dtype is torch.float32 and not torch.equal(got, expected)
    assert (got - expected).norm() < 0.2 * expected.norm()
    assert torch.equal(answer(modules), got)


def test_what_is_kept_and_what_is_not(modules: Modules) -> None:
    store_in_8_bits(modules.unet)
    unet = modules.unet
    assert unet.conv_in.weight.dtype is unet.conv_out.weight.dtype is torch.bfloat16
    assert unet.time_embedding.linear_1.weight.dtype is torch.bfloat16
    conv = unet.mid_block.resnets[0].conv1
    assert conv.weight.dtype is STORED and conv.bias.dtype is torch.bfloat16
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", some(["medvram", "lowvram"], 1))
def test_memory_modes_change_nothing(modules: Modules, mode: str) -> None:
    store_in_8_bits(modules.unet)
    expected = answer(modules)
    offloader = Offloader(CPU, modules.unet, (modules.vae, *modules.text_encoders))
    offloader.apply(mode)  # type: ignore[arg-type]  # the parameters are those literals
    assert torch.equal(answer(modules), expected) and torch.equal(answer(modules), expected)
    offloader.close()
    assert modules.unet.mid_block.resnets[0].conv1.weight.dtype is STORED


def test_an_error_inside_a_layer_leaves_its_weight_in_8_bits(modules: Modules) -> None:
    store_in_8_bits(modules.unet)
    conv = modules.unet.mid_block.resnets[0].conv1
    with pytest.raises(RuntimeError):
        conv(torch.zeros(1, 3, 4, 4, dtype=torch.bfloat16))
    assert conv.weight.dtype is STORED
