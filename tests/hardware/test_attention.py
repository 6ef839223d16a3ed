"""Every kind of attention gives the same picture; only memory and speed differ."""

from collections.abc import Iterable
from functools import partial
from typing import Any, get_args

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch.nn.functional import scaled_dot_product_attention

from modules.hardware import attention_kernels as kernels
from modules.hardware.attention import (
    BY_SETTING,
    AttentionChoice,
    AttentionName,
    AttentionRequest,
    apply_attention,
    choose_attention,
)
from modules.hardware.machine import Machine
from modules.settings.tables import OPTIONS
from tests.amounts import some
from tests.checkpoints import Architecture, make_modules

CPU = torch.device("cpu")
ON_A_CPU = tuple(name for name in get_args(AttentionName) if name != "xformers")


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return make_modules(Architecture(vocabulary=512), seed=2).unet


def run(unet: UNet2DConditionModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 12, 20, generator=generator)
    context = torch.randn(2, 154, 64, generator=generator)
    with torch.no_grad():
        predicted: torch.Tensor = unet(latents, 400, context).sample
        return predicted


def choice(name: AttentionName, **more: object) -> AttentionChoice:
    return AttentionChoice(name, "a test says so", **more)  # type: ignore[arg-type]  # fields of any type


@pytest.mark.parametrize("key_chunk", some([60, None], 1))
@pytest.mark.parametrize("upcast", [False, True])
@pytest.mark.parametrize("name", ON_A_CPU)
def test_every_attention_computes_the_same(
    unet: UNet2DConditionModel, name: AttentionName, upcast: bool, key_chunk: int | None
) -> None:
    apply_attention(unet, choice("math"))
    expected = run(unet)
    apply_attention(unet, choice(name, query_chunk=16, key_chunk=key_chunk, upcast=upcast))
    assert torch.allclose(run(unet), expected, atol=1e-5)


@pytest.mark.parametrize("name", get_args(AttentionName))
def test_the_processor_is_really_set(unet: UNet2DConditionModel, name: AttentionName) -> None:
    apply_attention(unet, choice(name))
    (kind,) = {type(processor).__name__ for processor in unet.attn_processors.values()}
    own = {"sdp": "AttnProcessor2_0", "xformers": "XFormersAttnProcessor", "split-v1": "SlicedAttnProcessor",
           "math": "AttnProcessor"}  # fmt: skip
    assert kind == own.get(name, "KernelAttention")


@pytest.mark.parametrize("name", ["sdp-no-mem", "split", "invokeai", "sub-quad"])
def test_no_name_shares_its_kernel_with_another(unet: UNet2DConditionModel, name: AttentionName) -> None:
    expected = {"sdp-no-mem": kernels.repeatable, "split": kernels.by_free_memory, "invokeai": kernels.within,
                "sub-quad": kernels.sub_quadratic}  # fmt: skip
    apply_attention(unet, choice(name))
    processors: Iterable[Any] = unet.attn_processors.values()  # ours, of no class that diffusers lists
    for processor in processors:
        kernel = processor.kernel
        assert (kernel.func if isinstance(kernel, partial) else kernel) is expected[name]


def test_the_setting_and_its_kinds_are_the_same_set() -> None:
    assert {"Automatic", *BY_SETTING} == set(OPTIONS["cross_attention_optimization"].choices)
    assert set(BY_SETTING.values()) == set(get_args(AttentionName))


def test_the_setting_goes_before_the_flags() -> None:
    flags = AttentionRequest("sub-quad", query_chunk=7)
    assert choose_attention(flags, CPU, Machine()).name == "sub-quad"
    chosen = choose_attention(flags, CPU, Machine(), "V1", upcast=True)
    assert (chosen.name, chosen.query_chunk, chosen.upcast) == ("split-v1", 7, True)
    assert "setting" in chosen.why and "flag" in choose_attention(flags, CPU, Machine()).why


@pytest.mark.parametrize(("flag", "setting"), [(True, False), (False, True)])
def test_flag_and_setting_ask_for_32_bits(flag: bool, setting: bool) -> None:
    assert choose_attention(AttentionRequest(upcast=flag), CPU, Machine(), upcast=setting).upcast
    assert not choose_attention(AttentionRequest(), CPU, Machine()).upcast


def qkv(queries: int, keys: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(2, 4, queries, 8, generator=generator) * 3
    return query, torch.randn(2, 4, keys, 8, generator=generator) * 3, torch.randn(2, 4, keys, 8, generator=generator)


@pytest.mark.parametrize(("query_chunk", "key_chunk"), [(1, 1), (7, 5), (100, 30), (1000, 1000)])
def test_chunks_of_any_size_add_up(query_chunk: int, key_chunk: int) -> None:
    tensors = qkv(50, 77)
    summed = kernels.sub_quadratic(*tensors, query_chunk=query_chunk, key_chunk=key_chunk, threshold=None)
    assert torch.allclose(summed, scaled_dot_product_attention(*tensors), atol=2e-5)


def chunks_seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []

    def watch(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        seen.append(query.shape[2])
        return scaled_dot_product_attention(query, key, value)

    monkeypatch.setattr("modules.hardware.attention_kernels.scaled_dot_product_attention", watch)
    return seen


def test_chunks_are_as_large_as_requested(unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = chunks_seen(monkeypatch)
    apply_attention(unet, choice("sub-quad", query_chunk=100))
    run(unet)
    assert max(seen) == 100 and min(seen) == 240 % 100


def test_slices_follow_free_memory_and_the_threshold_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = chunks_seen(monkeypatch)
    tensors = qkv(64, 64)  # 2 rows × 4 heads × 64 × 64 scores in 4 bytes: 128 KiB
    monkeypatch.setattr(kernels, "free_memory", lambda device: 128 << 10)
    kernels.by_free_memory(*tensors)
    assert seen == [16] * 4  # a quarter of what is free
    seen.clear()
    kernels.sub_quadratic(*tensors, query_chunk=8, key_chunk=None, threshold=100)
    assert seen == [64]
    seen.clear()
    kernels.sub_quadratic(*tensors, query_chunk=32, key_chunk=None, threshold=99)
    assert seen == [32, 32]


@pytest.mark.parametrize("name", ["sub-quad", "split-v1"])
@pytest.mark.parametrize("dtype", some([torch.bfloat16, torch.float32], 1))
@pytest.mark.parametrize("upcast", [False, True])
def test_the_type_is_kept(dtype: torch.dtype, upcast: bool, name: AttentionName) -> None:
    unet = make_modules(Architecture(vocabulary=512)).unet
    unet.load_state_dict({name: value.to(dtype) for name, value in unet.state_dict().items()}, assign=True)
    apply_attention(unet, choice(name, upcast=upcast))
    with torch.no_grad():
        out = unet(torch.randn(1, 4, 8, 8, dtype=dtype), 1, torch.randn(1, 77, 64, dtype=dtype)).sample
    assert out.dtype is dtype and out.isfinite().all()
