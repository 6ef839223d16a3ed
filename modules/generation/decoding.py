"""Latents to pictures and back, with a retry in full precision when half precision overflows."""

from __future__ import annotations

from typing import Final

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from modules.generation.tiles import edges_are_joined, in_tiles, pixels_per_cell, tile_side
from modules.hardware.budget import VAE_TILE
from modules.hardware.device import compute_device


class VaeOverflow(RuntimeError):
    """The VAE made no numbers even in full precision."""


OVERFLOW: Final = (
    "The VAE produced no valid picture (NaN) even at full precision: the latents are broken. "
    "Try another VAE or checkpoint, or start with --no-half."
)


def _decode_once(vae: AutoencoderKL, latents: Tensor, scaling: float) -> Tensor:
    scaled = (latents / scaling).to(device=compute_device(vae), dtype=next(vae.parameters()).dtype)
    decoded: Tensor = vae.decode(scaled, return_dict=False)[0]
    return decoded.float()


def _decode_within_memory(vae: AutoencoderKL, latents: Tensor, scaling: float) -> Tensor:
    """Decode in one piece; in overlapping tiles if that would take too much, or does not fit on the device."""
    factor = pixels_per_cell(vae)
    tile = tile_side(vae, latents.shape[3] * factor, latents.shape[2] * factor)
    if tile is None:
        try:
            return _decode_once(vae, latents, scaling)
        except torch.OutOfMemoryError:
            if vae.use_tiling:
                raise
        tile = VAE_TILE // factor
    joined = edges_are_joined(vae)
    return in_tiles(lambda part: _decode_once(vae, part, scaling), latents, tile, unit=1, made=factor, joined=joined)


@torch.inference_mode()
def decode_latent(vae: AutoencoderKL, latent: Tensor, scaling: float) -> Tensor:
    """Decode one latent (4, h, w) to an RGB picture (3, 8h, 8w) in 0..1, float32.

    One picture at a time, so that it does not depend on what else is in the batch. Overflow to NaN or infinity in
    half precision is answered by one retry in float32 (A1111's "Automatically revert VAE to 32-bit floats").
    Raises VaeOverflow when that does not help.
    """
    picture = _decode_within_memory(vae, latent.unsqueeze(0), scaling)
    if not torch.isfinite(picture).all():
        before = next(vae.parameters()).dtype
        try:
            picture = _decode_within_memory(vae.to(torch.float32), latent.unsqueeze(0), scaling)
        finally:
            vae.to(before)
        if not torch.isfinite(picture).all():
            raise VaeOverflow(OVERFLOW)
    return ((picture[0] + 1.0) / 2.0).clamp_(0.0, 1.0)


def to_image(picture: Tensor) -> Image.Image:
    """A picture (3, h, w) in 0..1 as 8-bit RGB. Fractions are cut off as A1111 does, not rounded."""
    pixels = (picture * 255.0).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    return Image.fromarray(pixels, "RGB")
