"""Trained parts to one fp16 file in the layout of Stable Diffusion 1: key names, folded latent scale, metadata."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from modules.hardware.model_configs import unet_config, vae_config
from training.latents import Whitening
from training.text import TextModel
from training.tokens import LENGTH, VOCABULARY_SIZE
from training.vae import GROUPS, Autoencoder

SCALE = 0.18215
LOG_VARIANCE = -12.0
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_block_names(levels: tuple[bool, ...], layers: int) -> dict[str, str]:
    """diffusers' block prefixes to SD1's; `levels` says per down level whether it has cross attention."""
    names = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
    names |= {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}
    names |= {"mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1"}
    names |= {"mid_block.resnets.1": "middle_block.2"}
    for i in range(len(levels)):
        for j in range(layers + 1):
            at = i * (layers + 1) + j
            names[f"up_blocks.{i}.resnets.{j}"] = f"output_blocks.{at}.0"
            names[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{at}.1"
            if j < layers:
                names[f"down_blocks.{i}.resnets.{j}"] = f"input_blocks.{at + 1}.0"
                names[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{at + 1}.1"
        names[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{(i + 1) * (layers + 1)}.0.op"
        place = 2 if levels[len(levels) - 1 - i] else 1
        names[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{i * (layers + 1) + layers}.{place}.conv"
    return names


def _renamed(key: str, blocks: dict[str, str]) -> str:
    prefix = max((p for p in blocks if key.startswith(p + ".")), key=len)
    return blocks[prefix] + key[len(prefix) :]


def unet_state(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The UNet's weights under SD1's names, without the `model.diffusion_model.` prefix."""
    levels = tuple("CrossAttn" in kind for kind in unet_config(unet).down_block_types)
    blocks = unet_block_names(levels, unet_config(unet).layers_per_block)
    state = {}
    for key, value in unet.state_dict().items():
        name = _renamed(key, blocks)
        if ".resnets." in key:
            name = re.sub(
                r"\.(norm1|conv1|time_emb_proj|norm2|conv2|conv_shortcut)\.", lambda m: f".{RESNET[m[1]]}.", name
            )
        state[name] = value
    return state


def _vae_name(key: str, levels: int) -> str:
    key = re.sub(r"up_blocks\.(\d+)", lambda m: f"up.{levels - 1 - int(m[1])}", key)
    key = re.sub(r"down_blocks\.(\d+)", r"down.\1", key)
    key = re.sub(r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    key = key.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_norm_out", "norm_out")
    for ours, theirs in ATTENTION.items():
        key = key.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
    key = key.replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")
    return key.replace("resnets", "block").replace("conv_shortcut", "nin_shortcut")


def fold_latent_scale(model: Autoencoder, white: Whitening) -> dict[str, Tensor]:
    """The 1x1 convolutions that take pictures to white latents over 0.18215, and back: [out, in, 1, 1] each."""
    vae, norm = model.vae, model.norm
    quant, post_quant = vae.quant_conv, vae.post_quant_conv
    assert quant is not None and quant.bias is not None and post_quant is not None and post_quant.bias is not None
    assert norm.running_var is not None and norm.running_mean is not None
    spread = (norm.running_var + norm.eps).sqrt()
    weight, bias = quant.weight[:4, :, 0, 0], quant.bias[:4]
    matrix = white.forward / spread
    shift = white.forward @ white.mean
    mean_weight, mean_bias = matrix @ weight / SCALE, (matrix @ (bias - norm.running_mean) - shift) / SCALE
    after, after_bias = post_quant.weight[:, :, 0, 0], post_quant.bias
    return {
        "quant_conv.weight": torch.cat([mean_weight, torch.zeros_like(mean_weight)])[..., None, None],
        "quant_conv.bias": torch.cat([mean_bias, torch.full_like(mean_bias, LOG_VARIANCE)]),
        "post_quant_conv.weight": (after @ white.backward * SCALE)[..., None, None],
        "post_quant_conv.bias": after @ white.mean + after_bias,
    }


def vae_state(model: Autoencoder, white: Whitening) -> dict[str, Tensor]:
    """The autoencoder's weights under SD1's names, without the `first_stage_model.` prefix."""
    vae: AutoencoderKL = model.vae
    state = {}
    for key, value in vae.state_dict().items():
        name = _vae_name(key, len(vae_config(vae).block_out_channels))
        is_projection = "attn_1" in name and value.ndim == 2
        state[name] = value[..., None, None] if is_projection else value
    return state | fold_latent_scale(model, white)


def text_state(model: TextModel, lookup: Tensor) -> dict[str, Tensor]:
    """The text encoder under SD1's names with all 49,408 rows: tokens never seen share the row of the unknown."""
    state = dict(model.encoder.state_dict())
    key = "embeddings.token_embedding.weight"
    state[key] = state[key][lookup]
    assert state[key].shape[0] == VOCABULARY_SIZE
    state.pop("embeddings.position_ids", None)
    return state


def metadata(title: str, description: str) -> dict[str, str]:
    """ModelSpec keys, and ours for what the shapes don't show."""
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.title": title,
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "https://github.com/CompVis/stable-diffusion",
        "modelspec.resolution": "128x128",
        "modelspec.prediction_type": "epsilon",
        "modelspec.license": "OFL-1.1",
        "modelspec.author": "The authors of this web UI; pictures from Noto Color Emoji, copyright Google Inc.",
        "modelspec.description": description,
        "modelspec.date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "webui.unet.norm_num_groups": "32",
        "webui.vae.norm_num_groups": str(GROUPS),
    }


def as_halves(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights in fp16.

    Raises:
        ValueError: naming the key, when a weight does not fit.
    """
    halves = {key: value.detach().cpu().half().contiguous() for key, value in state.items()}
    for key, value in halves.items():
        if not torch.isfinite(value).all():
            raise ValueError(
                f"{key} has values that fp16 cannot hold; train with a lower rate or keep that layer smaller."
            )
    return halves


def export(
    file: Path,
    unet: UNet2DConditionModel,
    model: Autoencoder,
    white: Whitening,
    text: TextModel,
    lookup: Tensor,
    note: str,
) -> str:
    """Write the checkpoint and return its SHA-256."""
    state = {UNET + key: value for key, value in unet_state(unet).items()}
    state |= {VAE + key: value for key, value in vae_state(model, white).items()}
    state |= {TEXT + key: value for key, value in text_state(text, lookup).items()}
    halves = as_halves(state)
    halves[TEXT + "embeddings.position_ids"] = torch.arange(LENGTH)[None]
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, file, metadata("Emoji demo", note))
    file.chmod(0o644)
    return hashlib.sha256(file.read_bytes()).hexdigest()
