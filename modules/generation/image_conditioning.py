"""What inpainting, editing and depth checkpoints are shown beside the latent.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from modules.families import DEPTH, EDITING, INPAINTING
from modules.generation.encoding import encode_pictures, to_tensor
from modules.weights.depth import depth_map
from modules.weights.latent_scaling import LatentScaling
from modules.weights.model import Model

_AS_ENCODED: Final = LatentScaling(1.0)


def of_nothing(model: Model, images: int, shape: tuple[int, int]) -> Tensor | None:
    """For a pass without a picture, at a latent's (height, width): a mask of ones over grey, or no picture at all,
    everything as near.

    Returns (images, channels, height, width), or None for a checkpoint that takes no more than the latent.
    """
    if model.unet_channels == EDITING:
        return torch.zeros(images, model.latent_channels, *shape)
    if model.unet_channels == DEPTH:
        return torch.zeros(images, 1, *shape)
    if model.unet_channels != INPAINTING:
        return None
    grey = torch.zeros(1, 3, shape[0] * model.vae_factor, shape[1] * model.vae_factor)
    return _behind_mask(model, grey, torch.ones(1, 1, *shape), images)


def of_picture(
    model: Model,
    pixels: Tensor,
    mask: Image.Image | None,
    shape: tuple[int, int],
    images: int,
    *,
    weight: float,
    rounded: bool,
) -> Tensor | None:
    """For a pass over `pixels`, (1, 3, height, width) in -1..1, whose latent is `shape` (height, width).

    The mask has the size of `pixels`; it is brought to the latent's by taking the nearest pixels.
    """
    if model.unet_channels == EDITING:
        scaling = model.latent_scaling if model.family.edits_scaled else _AS_ENCODED
        return _fitted(encode_pictures(model.vae, pixels, scaling), shape).repeat(images, 1, 1, 1)
    if model.depth is not None:
        return depth_map(model.depth, pixels, shape).to(pixels).repeat(images, 1, 1, 1)
    if model.unet_channels != INPAINTING:
        return None
    painted = torch.ones(1, 1, *pixels.shape[2:])
    if mask is not None:
        grey = (to_tensor([mask])[:, :1] + 1.0) / 2.0
        painted = grey.round() if rounded else grey
    # A hires pass shows what it decoded, which lies on the device.
    hidden = torch.lerp(pixels, pixels * (1.0 - painted.to(pixels)), weight)
    return _behind_mask(model, hidden, interpolate(painted, size=shape), images)


def _behind_mask(model: Model, hidden: Tensor, mask: Tensor, images: int) -> Tensor:
    latent = _fitted(encode_pictures(model.vae, hidden, model.latent_scaling), tuple(mask.shape[2:]))
    joined = torch.cat([mask.expand(len(latent), -1, -1, -1).to(latent), latent], dim=1)
    return joined if len(joined) == images else joined.repeat(images, 1, 1, 1)


def _fitted(latent: Tensor, shape: tuple[int, ...]) -> Tensor:
    # "Just resize (latent upscale)" leaves the picture as it was: then this is enlarged as its latent is.
    return latent if tuple(latent.shape[2:]) == shape else interpolate(latent, size=shape, mode="bilinear")
