"""IP-Adapters: files in every layout, and what they add, against diffusers' own attention processors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from modules.catalogue import ModelFileError
from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.attentions import attention_count
from modules.generation.control.image_prompts import ImagePrompt, ImagePrompts, image_tokens
from modules.generation.pipeline import residuals_of
from modules.generation.unet import unet_function
from modules.parameters import RequestError
from modules.sampling import CallPosition, Conditioning
from modules.weights.control.image_encoder import ImageEncoder, normalised, read_image_encoder
from modules.weights.control.ip_adapter import ImageAdapter
from modules.weights.control.reading import ControlModel, read_control_model
from tests.amounts import some
from tests.checkpoints import Tensors, make_modules
from tests.control_models import SMALL, SMALL_SDXL, write_control

Layout = Literal["plain", "plus", "full"]
VIEW, STATES, TEXT = 24, 64, 64


def adapter_tensors(unet: UNet2DConditionModel, layout: Layout, text: int = TEXT, seed: int = 3) -> Tensors:
    """An IP-Adapter for a UNet, by the names of its authors."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / float(shape[-1] ** 0.5)

    tensors: Tensors = {}
    match layout:
        case "plain":
            tensors |= {"proj.weight": some(4 * text, VIEW), "proj.bias": some(4 * text)}
            tensors |= {"norm.weight": some(text) + 1, "norm.bias": some(text)}
        case "full":
            tensors |= {"proj.0.weight": some(STATES, STATES), "proj.0.bias": some(STATES)}
            tensors |= {"proj.2.weight": some(text, STATES), "proj.2.bias": some(text)}
            tensors |= {"proj.3.weight": some(text) + 1, "proj.3.bias": some(text)}
        case "plus":
            wide = 64
            tensors |= {"latents": some(1, 16, wide), "proj_in.weight": some(wide, STATES), "proj_in.bias": some(wide)}
            tensors |= {"proj_out.weight": some(text, wide), "proj_out.bias": some(text)}
            tensors |= {"norm_out.weight": some(text) + 1, "norm_out.bias": some(text)}
            for layer in range(4):
                name = f"layers.{layer}"
                tensors |= {f"{name}.0.norm{n}.{kind}": some(wide) + 1 for n in (1, 2) for kind in ("weight", "bias")}
                tensors |= {f"{name}.0.to_q.weight": some(128, wide), f"{name}.0.to_kv.weight": some(256, wide)}
                tensors |= {f"{name}.0.to_out.weight": some(wide, 128)}
                tensors |= {f"{name}.1.0.weight": some(wide) + 1, f"{name}.1.0.bias": some(wide)}
                tensors |= {f"{name}.1.1.weight": some(4 * wide, wide), f"{name}.1.3.weight": some(wide, 4 * wide)}
    named = {f"image_proj.{name}": value for name, value in tensors.items()}
    number = 1
    for name, processor in unet.attn_processors.items():
        assert processor is not None
        if "attn2" in name:
            width = unet.get_submodule(name.removesuffix("processor") + "to_q").get_parameter("weight").shape[0]
            named |= {f"ip_adapter.{number}.to_{one}_ip.weight": some(width, text) for one in "kv"}
            number += 2
    return named


def nested(tensors: Tensors) -> dict[str, Tensors]:
    """As its authors' pickles and diffusers have it."""
    parts = {name.partition(".")[0] for name in tensors}
    return {
        part: {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
        for part in parts
    }


def read(path: Path) -> ControlModel:
    return read_control_model(path, checkpoint=path, dtype=torch.float32)


def adapter_in(model: ControlModel) -> ImageAdapter:
    assert isinstance(model.module, ImageAdapter)
    return model.module


def texts(rows: int = 3, negative: int = 1, width: int = TEXT) -> Conditioning:
    return Conditioning(torch.randn(rows, 9, width, generator=torch.Generator().manual_seed(1)), {}, negative)


LATENTS = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(3))
TIMES = torch.full((3,), 431.5)


def tokens(seed: int, count: int = 4) -> Tensor:
    return torch.randn(1, count, TEXT, generator=torch.Generator().manual_seed(seed))


def shown(unet: UNet2DConditionModel, prompts: list[ImagePrompt], call: int = 0) -> Tensor:
    hook = ImagePrompts(prompts, 10)
    hook.begin_call(CallPosition(call, 10, range(2)))
    with torch.no_grad(), hook.patched(unet):
        predict = unet_function(unet, channels_last=False, residuals=residuals_of([hook]))
        return predict(LATENTS, TIMES, texts())


def plain(unet: UNet2DConditionModel) -> Tensor:
    with torch.no_grad():
        return unet_function(unet, channels_last=False)(LATENTS, TIMES, texts())


@pytest.fixture
def unet() -> UNet2DConditionModel:
    return make_modules(SMALL).unet


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("layout", some(["plain", "plus", "full"], 2))
def test_a_file_in_every_layout_makes_diffusers_answers(
    tmp_path: Path, unet: UNet2DConditionModel, layout: Layout, suffix: str
) -> None:
    tensors = adapter_tensors(unet, layout)
    path = tmp_path / f"ip-adapter{suffix}"
    if suffix == ".bin":
        torch.save(nested(tensors), path)
    else:
        write_control(path, tensors)
    found = read(path)
    assert found.kind is ControlKind.IP_ADAPTER
    oracle: Any = make_modules(SMALL).unet
    oracle._load_ip_adapter_weights([nested(tensors)], low_cpu_mem_usage=False)
    shape = (2, VIEW) if layout == "plain" else (2, 5, STATES)
    views = torch.randn(*shape, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        projected = adapter_in(found).projection(views)
        (expected,) = oracle.encoder_hid_proj([views.unsqueeze(1)])
        torch.testing.assert_close(projected, expected.flatten(0, 1), rtol=0, atol=1e-5)
        rows = torch.cat([views[:1], views[:1], views[1:]])
        for processor in oracle.attn_processors.values():
            if hasattr(processor, "scale"):
                processor.scale = [0.7]
        added = {"image_embeds": [rows.unsqueeze(1)]}
        theirs = oracle(LATENTS, TIMES, texts().context, added_cond_kwargs=added, return_dict=False)[0]
    prompt = ImagePrompt(found, projected[:1], projected[1:], (0.7,) * attention_count(unet).total)
    made = shown(unet, [prompt])
    torch.testing.assert_close(made, theirs, rtol=0, atol=1e-5)
    assert (made - plain(unet)).abs().max() > 1e-3


def prompt_of(unet: UNet2DConditionModel, tmp_path: Path, **more: Any) -> ImagePrompt:
    model = read(write_control(tmp_path / "ip-adapter.safetensors", adapter_tensors(unet, "plain")))
    return ImagePrompt(model, tokens(1), tokens(2), **{"weights": (1.0,) * attention_count(unet).total, **more})


def test_weights_windows_and_masks_of_pictures(tmp_path: Path, unet: UNet2DConditionModel) -> None:
    before = plain(unet)
    whole = shown(unet, [prompt_of(unet, tmp_path)])
    count = attention_count(unet)
    assert (count.down, count.middle, count.up) == (2, 1, 4)
    assert torch.equal(shown(unet, [prompt_of(unet, tmp_path, weights=(0.0,) * 7)]), before)
    assert torch.equal(shown(unet, [prompt_of(unet, tmp_path, window=(0.5, 1.0))], call=3), before)
    assert torch.equal(shown(unet, [prompt_of(unet, tmp_path, window=(0.5, 1.0))], call=8), whole)
    assert torch.equal(shown(unet, [prompt_of(unet, tmp_path, mask=torch.zeros(1, 1, 64, 64))]), before)
    assert torch.equal(shown(unet, [prompt_of(unet, tmp_path, mask=torch.ones(1, 1, 64, 64))]), whole)
    half = torch.zeros(1, 1, 64, 64)
    half[..., :32] = 1
    masked = shown(unet, [prompt_of(unet, tmp_path, mask=half)])
    assert not torch.equal(masked, before)
    assert not torch.equal(masked, whole)
    assert torch.equal(plain(unet), before), "a hook is left"


def test_only_the_last_attention_up_is_changed_by_the_last_weight(tmp_path: Path, unet: UNet2DConditionModel) -> None:
    """Files count down, up, middle; weights go from the input to the output."""
    seen: list[str] = []
    for name, module in unet.named_modules():
        if name.endswith("attn2.to_out.0"):
            module.register_forward_hook(lambda _module, inputs, _output, name=name: outputs.update({name: inputs[0]}))
    outputs: dict[str, Tensor] = {}
    plain(unet)
    before, outputs = outputs, {}
    shown(unet, [prompt_of(unet, tmp_path, weights=(0.0,) * 6 + (1.0,))])
    seen = [name for name, value in before.items() if not torch.equal(value, outputs[name])]
    assert seen == ["up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_out.0"]


def test_an_adapter_for_another_unet_is_refused(tmp_path: Path, unet: UNet2DConditionModel) -> None:
    other = make_modules(SMALL_SDXL).unet
    with pytest.raises(RequestError, match=r"ip-adapter\.safetensors is an IP-Adapter for another kind of UNet"):
        ImagePrompts([prompt_of(unet, tmp_path)], 10).patched(other)
    with pytest.raises(RequestError, match="takes 7 weights with this checkpoint, and 3 are given"):
        ImagePrompts([prompt_of(unet, tmp_path, weights=(1.0,) * 3)], 10).patched(unet)


def make_encoder(hidden: int = STATES, projected: int = VIEW) -> CLIPVisionModelWithProjection:
    config = CLIPVisionConfig(
        hidden_size=hidden, intermediate_size=96, num_hidden_layers=3, num_attention_heads=16, image_size=28,
        patch_size=14, projection_dim=projected, hidden_act="gelu",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        module = CLIPVisionModelWithProjection(config)
    module.train(False)
    return module.requires_grad_(False)


def openclip_names(module: CLIPVisionModelWithProjection) -> Tensors:
    """The same weights as OpenCLIP names them."""
    own = module.state_dict()
    top = "vision_model."
    named = {
        "visual.proj": own["visual_projection.weight"].t(),
        "visual.class_embedding": own[f"{top}embeddings.class_embedding"],
        "visual.conv1.weight": own[f"{top}embeddings.patch_embedding.weight"],
        "visual.positional_embedding": own[f"{top}embeddings.position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        named |= {f"visual.ln_pre.{kind}": own[f"{top}pre_layrnorm.{kind}"]}
        named |= {f"visual.ln_post.{kind}": own[f"{top}post_layernorm.{kind}"]}
        for layer in range(3):
            ours, theirs = f"{top}encoder.layers.{layer}", f"visual.transformer.resblocks.{layer}"
            fused = torch.cat([own[f"{ours}.self_attn.{one}_proj.{kind}"] for one in "qkv"])
            named |= {f"{theirs}.attn.in_proj_{kind}": fused}
            pairs = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
            pairs |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
            named |= {f"{theirs}.{one}.{kind}": own[f"{ours}.{other}.{kind}"] for one, other in pairs.items()}
    return named


def encoder_in(folder: Path, *, openclip: bool = False, **widths: int) -> ImageEncoder:
    module = make_encoder(**widths)
    tensors = openclip_names(module) if openclip else dict(module.state_dict())
    return read_image_encoder(write_control(folder / "clip_h.safetensors", tensors), dtype=torch.float32)


@pytest.mark.parametrize("openclip", [False, True])
def test_an_image_encoder_in_both_namings_sees_as_transformers(tmp_path: Path, openclip: bool) -> None:
    found, module = encoder_in(tmp_path, openclip=openclip), make_encoder()
    assert (found.vector_width, found.state_width) == (VIEW, STATES)
    pictures = torch.rand(2, 3, 40, 30, generator=torch.Generator().manual_seed(8))
    view = found.encode(pictures)
    with torch.no_grad():
        expected = module(normalised(pictures, 28), output_hidden_states=True)
    torch.testing.assert_close(view.vector, expected.image_embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(view.states, expected.hidden_states[-2], rtol=0, atol=1e-5)


def test_pictures_are_cut_and_normed_as_clip_was_trained() -> None:
    picture = torch.full((1, 3, 56, 28), 0.5)
    picture[:, :, :14] = picture[:, :, 42:] = 1.0
    made = normalised(picture, 28)
    assert made.shape == (1, 3, 28, 28)
    expected = [(0.5 - mean) / deviation for mean, deviation in ((0.48145466, 0.26862954), (0.40821073, 0.27577711))]
    assert made[0, ::2].mean((1, 2)).tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("layout", ["plain", "plus"])
def test_tokens_of_several_pictures_stand_side_by_side(
    tmp_path: Path, unet: UNet2DConditionModel, layout: Layout
) -> None:
    model = read(write_control(tmp_path / "ip-adapter.safetensors", adapter_tensors(unet, layout)))
    encoder = encoder_in(tmp_path)
    pictures = [torch.rand(1, 3, 30, 30, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    positive, negative = image_tokens(model, encoder, pictures)
    each = 4 if layout == "plain" else 16
    assert positive.shape == negative.shape == (1, 2 * each, TEXT)
    alone, nothing = image_tokens(model, encoder, pictures[1:])
    torch.testing.assert_close(positive[:, each:], alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(negative[:, :each], nothing, rtol=0, atol=1e-5)
    view = encoder.encode(torch.zeros(1, 3, 30, 30)).states if layout == "plus" else torch.zeros(1, VIEW)
    with torch.no_grad():
        torch.testing.assert_close(nothing, adapter_in(model).projection(view), rtol=0, atol=1e-5)


def test_the_wrong_image_encoder_is_named(tmp_path: Path, unet: UNet2DConditionModel) -> None:
    model = read(write_control(tmp_path / "ip-adapter.safetensors", adapter_tensors(unet, "plain")))
    with pytest.raises(RequestError, match=r"was not trained with the image encoder clip_h\.safetensors"):
        image_tokens(model, encoder_in(tmp_path, projected=VIEW + 8), [torch.rand(1, 3, 30, 30)])


def test_files_that_are_no_image_encoder_or_no_whole_adapter_are_refused(
    tmp_path: Path, unet: UNet2DConditionModel
) -> None:
    tensors = adapter_tensors(unet, "plain")
    with pytest.raises(ModelFileError, match=r"some\.safetensors is no image encoder of CLIP"):
        read_image_encoder(write_control(tmp_path / "some.safetensors", tensors), dtype=torch.float32)
    for name in ("ip_adapter.1.to_k_ip.weight", "ip_adapter.3.to_v_ip.weight", "image_proj.norm.weight"):
        short = {one: value for one, value in tensors.items() if one != name}
        with pytest.raises(ModelFileError, match=name.removeprefix("image_proj.")):
            read(write_control(tmp_path / "short.safetensors", short))
    broken = tensors | {"image_proj.proj.bias": tensors["image_proj.proj.bias"] * float("inf")}
    with pytest.raises(ModelFileError, match="holds NaN or infinity"):
        read(write_control(tmp_path / "broken.safetensors", broken))


def test_a_model_of_sdxl_says_so(tmp_path: Path) -> None:
    unet = make_modules(replace(SMALL_SDXL, text_hidden=(64, 96))).unet
    model = read(write_control(tmp_path / "xl.safetensors", adapter_tensors(unet, "plain", 160)))
    assert [layer.out_features for layer in adapter_in(model).to_k] == [64] * 8
    assert attention_count(unet).xl
