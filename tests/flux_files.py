"""Toy files of Flux.1 in every layout that people have: random, narrow, and the same modules in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel

from modules.prompt.t5 import VOCABULARY
from modules.weights.flux import flux_original
from modules.weights.original_names import swapped_halves
from tests.checkpoints import DTYPES, Dtype, Tensors, original_vae_tensors
from tests.z_image_files import make_z_image

WIDTH, TEXT_WIDTH, POOLED_WIDTH = 64, 16, 32
Layout = Literal["split", "all-in-one", "diffusers"]


@dataclass(frozen=True)
class FluxFiles:
    """A checkpoint, and the files of its VAE and its text encoders where they are apart."""

    checkpoint: Path
    vae: Path | None
    texts: tuple[Path, ...]


@dataclass(frozen=True)
class FluxModules:
    """diffusers' and transformers' own modules, which what is loaded has to be equal to."""

    transformer: FluxTransformer2DModel
    vae: AutoencoderKL
    clip: CLIPTextModel
    t5: T5EncoderModel


def make_flux(seed: int = 0, *, guided: bool = True, patch_numbers: int = 64) -> FluxModules:
    """Random fp32 modules, the same ones for the same seed; with guidance as in [dev], or without as in [schnell]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = FluxTransformer2DModel(
            in_channels=patch_numbers, out_channels=64, num_layers=2, num_single_layers=2, attention_head_dim=32,
            num_attention_heads=2, joint_attention_dim=TEXT_WIDTH, pooled_projection_dim=POOLED_WIDTH,
            guidance_embeds=guided, axes_dims_rope=(4, 14, 14),
        )  # fmt: skip
        clip = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408, hidden_size=POOLED_WIDTH, intermediate_size=64, num_hidden_layers=2,
                num_attention_heads=1, max_position_embeddings=77, hidden_act="quick_gelu", bos_token_id=49406,
                eos_token_id=49407, initializer_factor=4.0,
            )
        )  # fmt: skip
        t5 = T5EncoderModel(
            T5Config(
                vocab_size=VOCABULARY + 28, d_model=TEXT_WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
                feed_forward_proj="gated-gelu", initializer_factor=1.0,
            )
        )  # fmt: skip
        with torch.no_grad():
            for name, parameter in transformer.named_parameters():
                if "norm_q" in name or "norm_k" in name or "norm_added" in name:
                    parameter.normal_(1.0, 0.1)
                elif name.endswith("bias"):
                    parameter.normal_(0.0, 0.1)
                elif "norm" in name:
                    parameter.mul_(3.0)
            # So that each token of a text counts among the many that fill it up.
            transformer.context_embedder.weight.mul_(20.0)
            transformer.context_embedder.bias.normal_(0.0, 10.0)
    for module in (transformer, clip, t5):
        module.eval().requires_grad_(False)
    return FluxModules(transformer, make_z_image(seed).vae, clip, t5)


def flux_tensors(transformer: FluxTransformer2DModel) -> Tensors:
    """The transformer in the original layout: query, key, value and more in one matrix, shift before scale."""
    tensors: dict[str, list[tuple[int, torch.Tensor]]] = {}
    for name, value in transformer.state_dict().items():
        source = flux_original(name)
        held = swapped_halves(value) if source.swapped else value
        tensors.setdefault(source.name, []).append((source.part[0], held))
    return {
        name: torch.cat([value for _, value in sorted(values, key=lambda one: one[0])])
        for name, values in tensors.items()
    }


def clip_tensors(clip: CLIPTextModel) -> Tensors:
    """CLIP as ComfyUI's files have it, all layers in `text_model`."""
    return {f"text_model.{name.removeprefix('text_model.')}": value for name, value in clip.state_dict().items()}


def t5_tensors(t5: T5EncoderModel) -> Tensors:
    """T5 as ComfyUI's files have it: the words once."""
    return {name: value for name, value in t5.state_dict().items() if name != "encoder.embed_tokens.weight"}


def write_flux(
    folder: Path,
    layout: Layout = "split",
    *,
    modules: FluxModules | None = None,
    dtype: Dtype = "fp32",
    scaled_fp8: bool = False,
) -> FluxFiles:
    """Write a toy of Flux.1, as ComfyUI splits it, all in one file, or in diffusers' names."""
    modules = modules or make_flux()
    original, vae = flux_tensors(modules.transformer), original_vae_tensors(modules.vae)
    clip, t5 = clip_tensors(modules.clip), t5_tensors(modules.t5)
    checkpoint = folder / f"flux1_{layout}.safetensors"
    if layout == "all-in-one":
        whole = {f"model.diffusion_model.{name}": value for name, value in original.items()}
        whole |= {f"vae.{name}": value for name, value in vae.items()}
        whole |= {f"text_encoders.clip_l.transformer.{name}": value for name, value in clip.items()}
        whole |= {f"text_encoders.t5xxl.transformer.{name}": value for name, value in t5.items()}
        _write(checkpoint, whole, dtype)
        return FluxFiles(checkpoint, None, ())
    files = FluxFiles(
        checkpoint,
        folder / f"ae_{layout}.safetensors",
        (folder / f"clip_l_{layout}.safetensors", folder / f"t5xxl_{layout}.safetensors"),
    )
    if layout == "diffusers":
        original, vae = dict(modules.transformer.state_dict()), dict(modules.vae.state_dict())
    if scaled_fp8:
        original, t5 = dict(_scaled(original)), dict(_scaled(t5))
    assert files.vae is not None
    for path, tensors in zip((checkpoint, files.vae, *files.texts), (original, vae, clip, t5), strict=True):
        _write(path, tensors, dtype)
    return files


def _scaled(tensors: Tensors) -> Iterator[tuple[str, torch.Tensor]]:
    """Each block's matrices in 8 bits, as ComfyUI's files have them since 2026."""
    for name, value in tensors.items():
        if value.ndim == 2 and ("_blocks." in name or ".block." in name) and "bias" not in name:
            scale = value.abs().max() / 448
            yield name, (value / scale).to(torch.float8_e4m3fn)
            yield f"{name.removesuffix('weight')}weight_scale", scale
        else:
            yield name, value


def _write(path: Path, tensors: Tensors, dtype: Dtype) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {
        name: (value if value.dtype == torch.float8_e4m3fn else value.to(DTYPES[dtype])).clone().contiguous()
        for name, value in tensors.items()
    }
    save_file(held, path, {"webui.vae.norm_num_groups": "32"})


def flux_lora(rank: int = 2, seed: int = 3) -> Tensors:
    """A LoRA as kohya's scripts name its layers, query, key, value and feed-forward in one matrix."""
    generator = torch.Generator().manual_seed(seed)

    def pair(name: str, rows: int, columns: int) -> Tensors:
        down = torch.randn(rank, columns, generator=generator) * 0.3
        up = torch.randn(rows, rank, generator=generator) * 0.3
        return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(rank)}

    return (
        pair("lora_unet_double_blocks_0_img_attn_qkv", 3 * WIDTH, WIDTH)
        | pair("lora_unet_single_blocks_1_linear1", 7 * WIDTH, WIDTH)
        | pair("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", POOLED_WIDTH, POOLED_WIDTH)
        | pair("lora_te3_encoder_block_0_layer_0_SelfAttention_q", TEXT_WIDTH, TEXT_WIDTH)
    )
