"""Cheap pictures of latents under way: a linear map from the latent channels to colour, no VAE."""

from __future__ import annotations

import io
from typing import Final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from modules.generation.decoding import in_type
from modules.hardware.device import compute_device
from modules.hardware.model_configs import vae_config
from modules.weights.latent_scaling import LatentScaling

PREVIEW_SIDE: Final = 512
_FITTED_LATENTS: Final = 48


@torch.inference_mode()
def fit_colours(vae: AutoencoderKL, scaling: LatentScaling) -> Tensor:
    """The affine map (channels + 1, 3) from latents, and a constant, to RGB in 0..1 that fits this VAE best.

    Flat latents are decoded and the middle of each picture is fitted by least squares, so that any VAE gets true
    colours without a table of known ones. Costs 48 decodes of 64 x 64 pixels, twice as many where it overflows.
    """
    count = vae_config(vae).latent_channels
    generator = torch.Generator().manual_seed(0)
    channels = torch.randn((_FITTED_LATENTS, count), generator=generator)
    flat = scaling.unscaled(channels[:, :, None, None].expand(-1, -1, 8, 8))
    known = torch.cat([channels, torch.ones(_FITTED_LATENTS, 1)], dim=1)
    colours, usable = _middles(vae, flat)
    if int(usable.sum()) < known.shape[1] and next(vae.parameters()).dtype != torch.float32:
        # A VAE that overflows its half type, as SDXL's own does.
        with in_type(vae, torch.float32):
            colours, usable = _middles(vae, flat)
    if int(usable.sum()) < known.shape[1]:
        # Grey shows at least that something goes on.
        return torch.cat([torch.zeros(count, 3), torch.full((1, 3), 0.5)])
    solution: Tensor = torch.linalg.lstsq(known[usable], colours[usable]).solution
    return solution


def _middles(vae: AutoencoderKL, latents: Tensor) -> tuple[Tensor, Tensor]:
    """The colours (n, 3) in 0..1 in the middle of what the VAE makes of flat latents, and which are numbers (n)."""
    device, dtype = compute_device(vae), next(vae.parameters()).dtype
    decoded = [
        vae.decode(part.to(device=device, dtype=dtype), return_dict=False)[0]
        .float()
        .cpu()[:, :, 24:40, 24:40]
        .mean(dim=(2, 3))
        for part in torch.split(latents, 8)
    ]
    colours = (torch.cat(decoded) + 1.0) / 2.0
    return colours, torch.isfinite(colours).all(dim=1)


def linear_pictures(latents: Tensor, colours: Tensor) -> Tensor:
    """Latents (n, channels, h, w) as RGB pictures (n, 3, h, w) in 0..1 on the CPU, a pixel for each cell."""
    flat = latents.float().cpu().permute(0, 2, 3, 1)
    rgb: Tensor = (flat @ colours[:-1] + colours[-1]).nan_to_num(0.0).clamp(0.0, 1.0)
    return rgb.permute(0, 3, 1, 2)


def enlarged(pictures: Tensor) -> Tensor:
    """Pictures of a pixel for each cell at the size that a VAE would give them."""
    return interpolate(pictures, scale_factor=8, mode="bilinear")


def at_preview_size(image: Image.Image) -> Image.Image:
    """`image` enlarged towards 512 pixels, by a whole factor, or as it is."""
    factor = max(1, PREVIEW_SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BILINEAR)


def small(image: Image.Image) -> Image.Image:
    """A copy of a finished picture, no larger than previews are."""
    copy = image.convert("RGB")
    copy.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return copy


def encode_preview(image: Image.Image, format_name: str) -> tuple[bytes, str]:
    """The preview as a file in one of A1111's three formats, packed quickly rather than small, and its MIME type."""
    buffer = io.BytesIO()
    match format_name:
        case "jpeg":
            image.save(buffer, "JPEG", quality=80)
        case "webp":
            image.save(buffer, "WEBP", quality=80, method=0)
        case _:
            image.save(buffer, "PNG", compress_level=1)
            format_name = "png"
    return buffer.getvalue(), f"image/{format_name}"
