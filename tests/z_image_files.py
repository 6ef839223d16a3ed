"""Toy files of Z-Image in every layout that people have: random, narrow, and the same modules in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from safetensors.torch import save_file
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from modules.families import Z_IMAGE
from modules.prompt.qwen import VOCABULARY
from modules.weights.z_image import z_image_original
from tests.checkpoints import DTYPES, Dtype, Tensors, original_vae_tensors

WIDTH, TEXT_WIDTH = 64, 32
Layout = Literal["split", "all-in-one", "diffusers"]


@dataclass(frozen=True)
class ZImageFiles:
    """A checkpoint, and the files of its VAE and its text encoder where they are apart."""

    checkpoint: Path
    vae: Path | None
    text: Path | None

    @property
    def texts(self) -> tuple[Path, ...]:
        return () if self.text is None else (self.text,)


@dataclass(frozen=True)
class ZImageModules:
    """diffusers' and transformers' own modules, which what is loaded has to be equal to."""

    transformer: ZImageTransformer2DModel
    vae: AutoencoderKL
    text: Qwen3Model


def make_z_image(seed: int = 0, *, text_width: int = TEXT_WIDTH, latent_channels: int = 16) -> ZImageModules:
    """Random fp32 modules, the same ones for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = ZImageTransformer2DModel(
            in_channels=16, dim=WIDTH, n_layers=2, n_refiner_layers=1, n_heads=4, n_kv_heads=4, cap_feat_dim=text_width,
            axes_dims=[4, 6, 6], axes_lens=[1536, 512, 512],
        )  # fmt: skip
        vae = AutoencoderKL(
            latent_channels=latent_channels, block_out_channels=(32, 32, 32, 32), layers_per_block=1,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            use_quant_conv=False, use_post_quant_conv=False, scaling_factor=Z_IMAGE.vae_scaling_factor,
            shift_factor=Z_IMAGE.vae_shift, norm_num_groups=32,
        )  # fmt: skip
        text = make_qwen3(text_width)
        with torch.no_grad():
            for name, parameter in transformer.named_parameters():
                if "pad_token" in name or parameter.ndim == 1:
                    parameter.normal_(1.0 if "norm" in name else 0.0, 0.1)
            transformer.get_parameter("cap_embedder.1.weight").mul_(4.0)
            vae.decoder.conv_out.weight.mul_(3.0)
    for module in (transformer, vae, text):
        module.eval().requires_grad_(False)
    return ZImageModules(transformer, vae, text)


def make_qwen3(width: int, layers: int = 3) -> Qwen3Model:
    """A random language model with Qwen's whole vocabulary."""
    return Qwen3Model(
        Qwen3Config(
            vocab_size=VOCABULARY + 3, hidden_size=width, intermediate_size=64, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6,
            rope_parameters={"rope_theta": 1e6, "rope_type": "default"}, initializer_range=0.3,
        )
    )  # fmt: skip


def z_image_tensors(transformer: ZImageTransformer2DModel) -> Tensors:
    """The transformer in the original layout: query, key and value in one matrix, and a norm that nobody uses."""
    tensors: dict[str, list[torch.Tensor]] = {}
    for name, value in transformer.state_dict().items():
        tensors.setdefault(z_image_original(name).name, []).append(value)
    return {name: torch.cat(values) for name, values in tensors.items()} | {"norm_final.weight": torch.ones(WIDTH)}


def text_tensors(text: Qwen3Model) -> Tensors:
    """The language model as ComfyUI's files have it."""
    return {f"model.{name}": value for name, value in text.state_dict().items()}


def write_z_image(
    folder: Path,
    layout: Layout = "split",
    *,
    modules: ZImageModules | None = None,
    dtype: Dtype = "fp32",
    scaled_fp8: bool = False,
) -> ZImageFiles:
    """Write a toy of Z-Image, as ComfyUI splits it, all in one file, or in diffusers' names."""
    modules = modules or make_z_image()
    original, vae, text = (
        z_image_tensors(modules.transformer), original_vae_tensors(modules.vae), text_tensors(modules.text)
    )  # fmt: skip
    checkpoint = folder / f"z_image_{layout}.safetensors"
    if layout == "all-in-one":
        whole = {f"model.diffusion_model.{name}": value for name, value in original.items()}
        whole |= {f"vae.{name}": value for name, value in vae.items()}
        whole |= {f"text_encoders.qwen3_4b.transformer.{name}": value for name, value in text.items()}
        _write(checkpoint, whole, dtype)
        return ZImageFiles(checkpoint, None, None)
    files = ZImageFiles(checkpoint, folder / f"ae_{layout}.safetensors", folder / f"qwen_3_4b_{layout}.safetensors")
    assert files.vae is not None and files.text is not None
    if layout == "diffusers":
        original, vae = dict(modules.transformer.state_dict()), dict(modules.vae.state_dict())
    if scaled_fp8:
        original = dict(_scaled(original))
    _write(checkpoint, original, dtype, keeps_fp8=scaled_fp8)
    _write(files.vae, vae, dtype)
    _write(files.text, text, dtype)
    return files


def _scaled(tensors: Tensors) -> Iterator[tuple[str, torch.Tensor]]:
    yield "scaled_fp8", torch.zeros(2).to(torch.float8_e4m3fn)
    for name, value in tensors.items():
        if value.ndim == 2 and name.startswith("layers.") and name.endswith(".weight"):
            scale = value.abs().max() / 448
            yield name, (value / scale).to(torch.float8_e4m3fn)
            yield f"{name.removesuffix('weight')}scale_weight", scale
        else:
            yield name, value


def _write(path: Path, tensors: Tensors, dtype: Dtype, *, keeps_fp8: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    eight = torch.float8_e4m3fn if keeps_fp8 else None
    held = {n: (t if t.dtype == eight else t.to(DTYPES[dtype])).clone().contiguous() for n, t in tensors.items()}
    save_file(held, path, {"webui.vae.norm_num_groups": "32"})


def z_image_lora(rank: int = 2, seed: int = 3) -> Tensors:
    """A LoRA as ai-toolkit names its layers, query, key and value in one matrix as the original has them."""
    generator = torch.Generator().manual_seed(seed)

    def pair(name: str, rows: int, columns: int) -> Tensors:
        down = torch.randn(rank, columns, generator=generator) * 0.3
        up = torch.randn(rows, rank, generator=generator) * 0.3
        return {f"diffusion_model.{name}.lora_A.weight": down, f"diffusion_model.{name}.lora_B.weight": up}

    return pair("layers.0.attention.qkv", 3 * WIDTH, WIDTH) | pair(
        "layers.1.feed_forward.w2", WIDTH, int(WIDTH / 3 * 8)
    )
