"""Pictures to latents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from torch import Tensor

from modules.generation.decoding import OnRetry, in_type, overflow, unreported
from modules.generation.vae_tiles import edges_are_joined, in_tiles, pixels_per_cell, tile_side
from modules.hardware.budget import VAE_TILE
from modules.hardware.device import compute_device
from modules.hardware.model_configs import VaeModule
from modules.weights.latent_scaling import LatentScaling


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size as (images, 3, height, width) in -1..1, float32."""
    stacked = np.stack([np.asarray(image.convert("RGB"), dtype=np.float32) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2) / 255.0 * 2.0 - 1.0


def _moments_once(vae: VaeModule, picture: Tensor) -> Tensor:
    brought = picture.to(device=compute_device(vae), dtype=next(vae.parameters()).dtype)
    moments: Tensor = vae.encode(brought).latent_dist.parameters
    return moments


def _moments(vae: VaeModule, picture: Tensor) -> Tensor:
    """Mean and log variance of the latent, (1, 2 * channels, height/8, width/8), in one piece or in tiles."""
    factor = pixels_per_cell(vae)
    tile = tile_side(vae, picture.shape[3], picture.shape[2])
    if tile is None:
        try:
            return _moments_once(vae, picture)
        except torch.OutOfMemoryError:
            if vae.use_tiling:
                raise
        tile = VAE_TILE // factor
    joined = edges_are_joined(vae)
    return in_tiles(lambda part: _moments_once(vae, part), picture, tile, unit=factor, made=1, joined=joined)


def _drawn(vae: VaeModule, picture: Tensor, noise: Tensor | None) -> Tensor:
    distribution = DiagonalGaussianDistribution(_moments(vae, picture))
    mean: Tensor = distribution.mode()
    drawn = mean if noise is None else mean + distribution.std * noise.to(mean)
    return drawn.float()


def _encoded(vae: VaeModule, pictures: Tensor, noise: Tensor | None) -> Tensor:
    own = [None if noise is None else noise[i : i + 1] for i in range(len(pictures))]
    return torch.cat([_drawn(vae, picture.unsqueeze(0), draw) for picture, draw in zip(pictures, own, strict=True)])


@torch.inference_mode()
def encode_pictures(
    vae: VaeModule,
    pictures: Tensor,
    scaling: LatentScaling,
    noise: Tensor | None = None,
    retries: Sequence[torch.dtype] = (torch.float32,),
    on_retry: OnRetry = unreported,
) -> Tensor:
    """Latents (images, channels, height/8, width/8) of pictures in -1..1, float32.

    Each picture is encoded by itself: drawn from the VAE's posterior with `noise` in the shape of the VAE's latents.
    Without it the mean is taken, where A1111 draws with numbers of no seed: the same picture then always gives the same
    latent, and none lies nearer to A1111's on average.
    Overflow in half precision is answered by a try in each of the `retries`, which `on_retry` is called for.
    Raises VaeOverflow when that does not help.
    """
    latents = _encoded(vae, pictures, noise)
    for dtype in retries:
        if torch.isfinite(latents).all():
            break
        on_retry(dtype)
        with in_type(vae, dtype):
            latents = _encoded(vae, pictures, noise)
    if not torch.isfinite(latents).all():
        raise overflow(retries)
    return scaling.scaled(latents)
