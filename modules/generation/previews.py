"""Cheap pictures of latents under way: a linear map from the latent channels to colour, no VAE."""

from __future__ import annotations

import io
import math
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from modules.generation.decoding import in_type
from modules.hardware.device import compute_device
from modules.hardware.model_configs import VaeModule, vae_config
from modules.weights.latent_scaling import LatentScaling

PREVIEW_SIDE: Final = 512
_FITTED_LATENTS: Final = 48


@torch.inference_mode()
def fit_colours(vae: VaeModule, scaling: LatentScaling) -> Tensor:
    """The affine map (channels + 1, 3 * patch²) from latents, and a constant, to RGB in 0..1 that fits this VAE best.

    `patch` is that of the scaling: where a cell of the latents is several of the VAE's, each of these has its colour.
    Flat latents are decoded and the middle of each picture is fitted by least squares, so that any VAE gets true
    colours without a table of known ones. Costs 48 decodes of 64 x 64 pixels, twice as many where it overflows.
    """
    count = vae_config(vae).latent_channels
    generator = torch.Generator().manual_seed(0)
    known = scaling.flat(torch.randn((_FITTED_LATENTS, count), generator=generator))
    flat = known[:, :, None, None].expand(-1, -1, 8, 8)
    colours, usable = _middles(vae, flat)
    if int(usable.sum()) <= count and next(vae.parameters()).dtype != torch.float32:
        # A VAE that overflows its half type, as SDXL's own does.
        with in_type(vae, torch.float32):
            colours, usable = _middles(vae, flat)
    if int(usable.sum()) <= count:
        # Grey shows at least that something goes on.
        return _of_latents(torch.cat([torch.zeros(count, 3), torch.full((1, 3), 0.5)]), scaling)
    columns = torch.cat([known, torch.ones(_FITTED_LATENTS, 1)], dim=1)
    return _of_latents(torch.linalg.lstsq(columns[usable], colours[usable]).solution, scaling)


def _of_latents(colours: Tensor, scaling: LatentScaling) -> Tensor:
    """The map (channels + 1, 3) from the VAE's latents as one from those that are sampled: see `fit_colours`."""
    channels = (len(colours) - 1) * scaling.patch**2
    # What it makes of a one in each channel, and of nothing.
    ones = torch.cat([torch.eye(channels), torch.zeros(1, channels)])[:, :, None, None]
    seen = torch.einsum("nchw,co->nohw", scaling.unscaled(ones), colours[:-1]) + colours[-1][:, None, None]
    made = pixel_unshuffle(seen, scaling.patch)[:, :, 0, 0]
    return torch.cat([made[:-1] - made[-1], made[-1:]])


def _middles(vae: VaeModule, latents: Tensor) -> tuple[Tensor, Tensor]:
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
    """Latents (n, channels, h, w) as RGB (n, 3, h, w) in 0..1 on the CPU, a pixel for each of the VAE's cells."""
    flat = latents.float().cpu().permute(0, 2, 3, 1)
    rgb: Tensor = (flat @ colours[:-1] + colours[-1]).nan_to_num(0.0).clamp(0.0, 1.0)
    return pixel_shuffle(rgb.permute(0, 3, 1, 2), math.isqrt(rgb.shape[3] // 3))


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
