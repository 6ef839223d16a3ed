"""Cheap pictures of latents under way: a linear map from the four latent channels to colour, no VAE."""

from __future__ import annotations

import io
from typing import Final

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from modules.hardware.device import compute_device

PREVIEW_SIDE: Final = 512
_FITTED_LATENTS: Final = 48


@torch.inference_mode()
def fit_colours(vae: AutoencoderKL, scaling: float) -> Tensor:
    """The affine map (5, 3) from latent channels, and a constant, to RGB in 0..1 that fits this VAE best.

    Flat latents are decoded and the middle of each picture is fitted by least squares, so that any VAE gets true
    colours without a table of known ones. Costs 48 decodes of 64 x 64 pixels.
    """
    device, dtype = compute_device(vae), next(vae.parameters()).dtype
    generator = torch.Generator().manual_seed(0)
    channels = torch.randn((_FITTED_LATENTS, 4), generator=generator)
    flat = channels[:, :, None, None].expand(-1, -1, 8, 8) / scaling
    colours = [
        vae.decode(part.to(device=device, dtype=dtype), return_dict=False)[0]
        .float()
        .cpu()[:, :, 24:40, 24:40]
        .mean(dim=(2, 3))
        for part in torch.split(flat, 8)
    ]
    target = (torch.cat(colours) + 1.0) / 2.0
    known = torch.cat([channels, torch.ones(_FITTED_LATENTS, 1)], dim=1)
    usable = torch.isfinite(target).all(dim=1)
    if int(usable.sum()) < known.shape[1]:
        # A VAE that overflows its half type: grey shows at least that something goes on.
        return torch.cat([torch.zeros(4, 3), torch.full((1, 3), 0.5)])
    solution: Tensor = torch.linalg.lstsq(known[usable], target[usable]).solution
    return solution


def preview_image(latents: Tensor, colours: Tensor) -> Image.Image:
    """Latents (n, 4, h, w) as one picture, side by side, enlarged towards 512 pixels."""
    flat = latents.float().cpu().permute(0, 2, 3, 1)
    rgb = (flat @ colours[:4] + colours[4]).clamp(0.0, 1.0)
    row = torch.cat(list(rgb), dim=1)
    image = Image.fromarray((row * 255).to(torch.uint8).numpy(), "RGB")
    factor = max(1, PREVIEW_SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BILINEAR)


def encode_preview(image: Image.Image) -> bytes:
    """The preview as a JPEG of a few kilobytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
