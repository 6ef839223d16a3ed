"""Every kind of attention gives the same picture; only memory and speed differ."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.hardware.attention import AttentionName, apply_attention
from tests.checkpoints import Architecture, make_modules


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return make_modules(Architecture(vocabulary=512), seed=2).unet


def run(unet: UNet2DConditionModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 12, 20, generator=generator)
    context = torch.randn(2, 154, 64, generator=generator)
    with torch.no_grad():
        return unet(latents, 400, context).sample


@pytest.mark.parametrize("name", ["sdp", "sdp-no-mem", "sub-quad", "split"])
def test_every_attention_computes_the_same(unet: UNet2DConditionModel, name: AttentionName) -> None:
    apply_attention(unet, "math")
    expected = run(unet)
    apply_attention(unet, name, query_chunk=16)
    assert torch.allclose(run(unet), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["sdp", "sdp-no-mem", "sub-quad", "split", "math", "xformers"])
def test_the_processor_is_really_set(unet: UNet2DConditionModel, name: AttentionName) -> None:
    apply_attention(unet, name)
    kinds = {type(processor).__name__ for processor in unet.attn_processors.values()}
    assert kinds == {{
        "sdp": "AttnProcessor2_0", "sdp-no-mem": "RepeatableAttention", "sub-quad": "ChunkedAttention",
        "split": "ChunkedAttention", "math": "AttnProcessor", "xformers": "XFormersAttnProcessor",
    }[name]}  # fmt: skip


def test_chunks_are_as_large_as_asked(unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = torch.nn.functional.scaled_dot_product_attention

    def watch(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        seen.append(query.shape[2])
        return real(query, key, value)

    monkeypatch.setattr("modules.hardware.attention.scaled_dot_product_attention", watch)
    apply_attention(unet, "sub-quad", query_chunk=100)
    run(unet)
    assert max(seen) == 100 and min(seen) == 240 % 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_type_is_kept(dtype: torch.dtype) -> None:
    unet = make_modules(Architecture(vocabulary=512)).unet
    unet.load_state_dict({name: value.to(dtype) for name, value in unet.state_dict().items()}, assign=True)
    apply_attention(unet, "sub-quad")
    with torch.no_grad():
        out = unet(torch.randn(1, 4, 8, 8, dtype=dtype), 1, torch.randn(1, 77, 64, dtype=dtype)).sample
    assert out.dtype is dtype and out.isfinite().all()
