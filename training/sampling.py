"""Generate with an exported file: loaded through diffusers' converters, sampled by a short Euler loop."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate.big_modeling import init_empty_weights
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.diffusion import alphas_cumprod, build_unet
from training.export import SCALE, TEXT
from training.text import build_text_encoder
from training.tokens import DEFAULT_FILE, VOCABULARY_SIZE, load_tokenizer, padded
from training.vae import build_vae


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The parts of an exported file, in fp32."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: CLIPTextModel
    tokenizer: CLIPTokenizer


def load(file: Path, vocabulary: Path = DEFAULT_FILE) -> Checkpoint:
    """Read an exported file; every key must be there and none left over."""
    state = load_file(file)
    with init_empty_weights():
        unet, vae, text = build_unet(), build_vae(), build_text_encoder(VOCABULARY_SIZE)
    unet_state, vae_state = (
        convert_ldm_unet_checkpoint(dict(state), dict(unet.config) | {"class_embed_type": None}),  # type: ignore[no-untyped-call]  # unannotated there
        convert_ldm_vae_checkpoint(dict(state), dict(vae.config)),  # type: ignore[no-untyped-call]  # unannotated there
    )
    text_state = {k[len(TEXT) :]: v for k, v in state.items() if k.startswith(TEXT) and not k.endswith("position_ids")}
    for model, part in ((unet, unet_state), (vae, vae_state), (text, text_state)):
        model.load_state_dict({key: value.float() for key, value in part.items()}, strict=True, assign=True)
        model.eval().requires_grad_(False)
    return Checkpoint(unet, vae, text, load_tokenizer(vocabulary))


def encode(checkpoint: Checkpoint, prompts: list[str]) -> Tensor:
    """Context [b, 77, 128] of prompts."""
    ids = [padded(checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in prompts]
    hidden: Tensor = checkpoint.text(torch.tensor(ids)).last_hidden_state
    return hidden


def euler_sigmas(steps: int) -> tuple[Tensor, Tensor]:
    """Noise levels [steps + 1], ending in zero, and the times [steps] they belong to."""
    sigmas = ((1 - alphas_cumprod()) / alphas_cumprod()).sqrt()
    times = torch.linspace(len(sigmas) - 1, 0, steps)
    low, part = times.long(), times.frac()
    logs = sigmas.log()
    levels = (logs[low] * (1 - part) + logs[(low + 1).clamp(max=len(sigmas) - 1)] * part).exp()
    return torch.cat([levels, torch.zeros(1)]), times


@torch.no_grad()
def generate(
    checkpoint: Checkpoint,
    prompts: list[str],
    seeds: list[int],
    negative: str = "",
    cfg: float = 5.0,
    steps: int = 20,
    cells: int = 16,
) -> np.ndarray:
    """Pictures uint8 [b, 8 * cells, 8 * cells, 3]; every picture has its own generator."""
    context = encode(checkpoint, prompts + [negative] * len(prompts))
    noise = [torch.randn(4, cells, cells, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    sigmas, times = euler_sigmas(steps)
    x = torch.stack(noise) * sigmas[0]
    for sigma, following, time in zip(sigmas, sigmas[1:], times, strict=False):
        scaled = x / (sigma**2 + 1).sqrt()
        wanted, unwanted = checkpoint.unet(torch.cat([scaled, scaled]), time, context).sample.chunk(2)
        x = x + (following - sigma) * (unwanted + cfg * (wanted - unwanted))
    pixels: Tensor = checkpoint.vae.decode(x / SCALE).sample
    return pixels.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
