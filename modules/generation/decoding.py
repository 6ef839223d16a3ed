"""Latents to pictures, with a retry in a wider number type when half precision overflows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from PIL import Image
from torch import Tensor

from modules.generation.vae_tiles import edges_are_joined, in_tiles, pixels_per_cell, tile_side
from modules.hardware.budget import VAE_TILE
from modules.hardware.device import compute_device, move
from modules.hardware.model_configs import VaeModule
from modules.weights.latent_scaling import LatentScaling


class VaeOverflow(RuntimeError):
    """The VAE made no numbers, in none of the number types that were allowed."""


OVERFLOW: Final = (
    "The VAE produced no valid picture (NaN) even at full precision: the latents are broken. "
    "Try another VAE or checkpoint, or start with --no-half."
)
NOT_RETRIED: Final = (
    "The VAE produced no valid picture (NaN) in its number type. Turn on the setting auto_vae_precision, which decodes "
    "such pictures again in 32 bits, or start with --no-half-vae."
)


# Called with each number type in which a VAE is tried again.
OnRetry = Callable[[torch.dtype], None]


def unreported(dtype: torch.dtype) -> None:
    """For callers who need not know that a VAE was tried again."""


def overflow(retries: Sequence[torch.dtype]) -> VaeOverflow:
    """What to raise when these number types did not help either."""
    return VaeOverflow(OVERFLOW if torch.float32 in retries else NOT_RETRIED)


def _decode_once(vae: VaeModule, latents: Tensor) -> Tensor:
    scaled = latents.to(device=compute_device(vae), dtype=next(vae.parameters()).dtype)
    decoded: Tensor = vae.decode(scaled, return_dict=False)[0]
    return decoded.float()


@torch.inference_mode()
def decode_within_memory(vae: VaeModule, latents: Tensor, scaling: LatentScaling) -> Tensor:
    """The denoiser's latents (n, 4, h, w) as the VAE decodes them, RGB (n, 3, 8h, 8w) around -1..1, float32, not
    checked; of Flux.2 (n, 128, h, w) and (n, 3, 16h, 16w).

    In one piece; in overlapping tiles if that would take too much, or does not fit on the device.
    """
    factor = pixels_per_cell(vae)
    latents = scaling.unscaled(latents)
    tile = tile_side(vae, latents.shape[3] * factor, latents.shape[2] * factor)
    if tile is None:
        try:
            return _decode_once(vae, latents)
        except torch.OutOfMemoryError:
            if vae.use_tiling:
                raise
        tile = VAE_TILE // factor
    joined = edges_are_joined(vae)
    return in_tiles(lambda part: _decode_once(vae, part), latents, tile, unit=1, made=factor, joined=joined)


@torch.inference_mode()
def decode_latent(
    vae: VaeModule,
    latent: Tensor,
    scaling: LatentScaling,
    retries: Sequence[torch.dtype] = (torch.float32,),
    on_retry: OnRetry = unreported,
) -> Tensor:
    """Decode one latent (4, h, w) to an RGB picture (3, 8h, 8w) in 0..1, float32.

    One picture at a time, so that it does not depend on what else is in the batch. Overflow to NaN or infinity in
    half precision is answered by a try in each of the `retries` (A1111's "Automatically revert VAE to 32-bit floats"),
    which `on_retry` is called for.
    Raises VaeOverflow when that does not help.
    """
    picture, finite = decode_unchecked(vae, latent, scaling)
    for dtype in retries:
        if finite:
            break
        on_retry(dtype)
        with in_type(vae, dtype):
            picture, finite = decode_unchecked(vae, latent, scaling)
    if not finite:
        raise overflow(retries)
    return picture


@torch.inference_mode()
def decode_unchecked(vae: VaeModule, latent: Tensor, scaling: LatentScaling) -> tuple[Tensor, Tensor]:
    """`decode_latent` in the VAE's own number type, without waiting for the device: the picture, and whether it is one.

    The second is a boolean tensor on the device: false where the VAE made something that is no number.
    """
    picture = decode_within_memory(vae, latent.unsqueeze(0), scaling)
    finite = torch.isfinite(picture).all()
    return ((picture[0] + 1.0) / 2.0).clamp_(0.0, 1.0), finite


@contextmanager
def in_type(vae: VaeModule, dtype: torch.dtype) -> Iterator[None]:
    """While open, `vae` computes in `dtype`. Its weights are put back, not converted back: bfloat16 loses bits."""
    device, before = compute_device(vae), [(tensor, tensor.data) for tensor in (*vae.parameters(), *vae.buffers())]
    if device.type == "cuda":
        # Its weights are replaced, and may still be read by a decode that runs beside.
        torch.cuda.synchronize(device)
    try:
        move(vae, dtype)
        yield
    finally:
        for tensor, data in before:
            tensor.data = data


def to_bytes(picture: Tensor) -> Tensor:
    """A picture (3, h, w) in 0..1 as (h, w, 3) of 8 bits. Fractions are cut off as A1111 does, not rounded."""
    return (picture * 255.0).to(torch.uint8).permute(1, 2, 0).contiguous()


def to_image(picture: Tensor) -> Image.Image:
    """A picture (3, h, w) in 0..1 as 8-bit RGB."""
    return image_of(to_bytes(picture).cpu())


def image_of(pixels: Tensor) -> Image.Image:
    """The picture of what `to_bytes` gave, once it lies in main memory."""
    return Image.fromarray(pixels.numpy(), "RGB")
