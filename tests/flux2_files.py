"""Toy files of Flux.2 klein in every layout that people have: random, narrow, and the same modules in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from safetensors.torch import save_file
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from modules.weights.flux2 import flux2_original
from modules.weights.original_names import swapped_halves
from tests.checkpoints import DTYPES, Dtype, Tensors, original_vae_tensors
from tests.z_image_files import make_qwen3, text_tensors

WIDTH, TEXT_WIDTH = 64, 16
Layout = Literal["split", "all-in-one", "diffusers"]


@dataclass(frozen=True)
class Flux2Files:
    """A checkpoint, and the files of its VAE and its text encoder where they are apart."""

    checkpoint: Path
    vae: Path | None
    text: Path | None

    @property
    def texts(self) -> tuple[Path, ...]:
        return () if self.text is None else (self.text,)


@dataclass(frozen=True)
class Flux2Modules:
    """diffusers' and transformers' own modules, which what is loaded has to be equal to."""

    transformer: Flux2Transformer2DModel
    vae: AutoencoderKLFlux2
    text: Qwen3Model


def make_flux2(seed: int = 0, *, blocks: int = 2, decoder: tuple[int, ...] | None = None) -> Flux2Modules:
    """Random fp32 modules, the same ones for the same seed; of 6 blocks the family takes them for klein 9B."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = Flux2Transformer2DModel(
            in_channels=128, num_layers=blocks, num_single_layers=2, attention_head_dim=16, num_attention_heads=4,
            joint_attention_dim=3 * TEXT_WIDTH, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
        )  # fmt: skip
        vae = AutoencoderKLFlux2(
            block_out_channels=(32, 32, 32, 32), decoder_block_out_channels=decoder, layers_per_block=1,
        )  # fmt: skip
        text = make_qwen3(TEXT_WIDTH, layers=30)
        with torch.no_grad():
            for name, parameter in transformer.named_parameters():
                if parameter.ndim == 1:
                    parameter.normal_(1.0, 0.1)
                elif "modulation" in name or "norm_out" in name:
                    parameter.mul_(20.0)
            vae.decoder.conv_out.weight.mul_(3.0)
            statistics: Any = vae.bn
            statistics.running_mean.normal_(0.0, 0.5)
            statistics.running_var.uniform_(0.5, 2.0)
    for module in (transformer, vae, text):
        module.eval().requires_grad_(False)
    return Flux2Modules(transformer, vae, text)


def flux2_tensors(transformer: Flux2Transformer2DModel) -> Tensors:
    """The transformer in the original layout: query, key and value in one matrix, shift before scale."""
    tensors: dict[str, list[torch.Tensor]] = {}
    for name, value in transformer.state_dict().items():
        source = flux2_original(name)
        tensors.setdefault(source.name, []).append(swapped_halves(value) if source.swapped else value)
    return {name: torch.cat(values) for name, values in tensors.items()}


def vae_tensors(vae: AutoencoderKLFlux2) -> Tensors:
    """The VAE in the original layout, whose convolutions between the halves are named as parts of these."""
    inside = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}
    held: Any = vae
    named = {name.partition("."): value for name, value in original_vae_tensors(held).items()}
    tensors = {f"{inside.get(first, first)}.{rest}": value for (first, _, rest), value in named.items()}
    return tensors | {name: value for name, value in vae.state_dict().items() if name.startswith("bn.")}


def write_flux2(
    folder: Path,
    layout: Layout = "split",
    *,
    modules: Flux2Modules | None = None,
    dtype: Dtype = "fp32",
    scaled_fp8: bool = False,
) -> Flux2Files:
    """Write a toy of Flux.2 klein, as ComfyUI splits it, all in one file, or in diffusers' names."""
    modules = modules or make_flux2()
    original, vae, text = flux2_tensors(modules.transformer), vae_tensors(modules.vae), text_tensors(modules.text)
    checkpoint = folder / f"flux2_{layout}.safetensors"
    if layout == "all-in-one":
        whole = {f"model.diffusion_model.{name}": value for name, value in original.items()}
        whole |= {f"vae.{name}": value for name, value in vae.items()}
        whole |= {f"text_encoders.qwen3_4b.transformer.{name}": value for name, value in text.items()}
        _write(checkpoint, whole, dtype)
        return Flux2Files(checkpoint, None, None)
    files = Flux2Files(checkpoint, folder / f"vae_{layout}.safetensors", folder / f"qwen_{layout}.safetensors")
    assert files.vae is not None and files.text is not None
    if layout == "diffusers":
        original, vae = dict(modules.transformer.state_dict()), dict(modules.vae.state_dict())
    if scaled_fp8:
        original = dict(_scaled(original))
    _write(checkpoint, original, dtype)
    _write(files.vae, vae, dtype)
    _write(files.text, text, dtype)
    return files


def _scaled(tensors: Tensors) -> Iterator[tuple[str, torch.Tensor]]:
    """Each block's matrices in 8 bits, as ComfyUI's files have them since 2026."""
    for name, value in tensors.items():
        if value.ndim == 2 and "_blocks." in name:
            scale = value.abs().max() / 448
            yield name, (value / scale).to(torch.float8_e4m3fn)
            yield f"{name.removesuffix('weight')}weight_scale", scale
        else:
            yield name, value


def _write(path: Path, tensors: Tensors, dtype: Dtype) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = (torch.float8_e4m3fn, torch.int64)
    held = {n: (t if t.dtype in whole else t.to(DTYPES[dtype])).clone().contiguous() for n, t in tensors.items()}
    save_file(held, path, {"webui.vae.norm_num_groups": "32"})


def flux2_lora(rank: int = 2, seed: int = 3) -> Tensors:
    """A LoRA as ai-toolkit names its layers, query, key and value in one matrix as the original has them."""
    generator = torch.Generator().manual_seed(seed)

    def pair(name: str, rows: int, columns: int) -> Tensors:
        down = torch.randn(rank, columns, generator=generator) * 0.3
        up = torch.randn(rows, rank, generator=generator) * 0.3
        return {f"diffusion_model.{name}.lora_A.weight": down, f"diffusion_model.{name}.lora_B.weight": up}

    return pair("double_blocks.0.img_attn.qkv", 3 * WIDTH, WIDTH) | pair("single_blocks.1.linear1", 9 * WIDTH, WIDTH)
