"""Masks for inpainting: from what was painted to what is repainted, in pixels and in latents.

Behaviour reproduced: A1111 v1.10.1. White (255) is repainted, black kept.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from modules.generation.resizing import CROP_AND_RESIZE, resize_image

Box = tuple[int, int, int, int]

# (blur radius, how often it is laid over): the surroundings flow into the masked part, coarse first.
_FILL_BLURS: Final = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


def padded_box(mask: Image.Image, padding: int) -> Box | None:
    """The box around everything not black, widened by `padding` within the picture; None for a black mask."""
    box = mask.getbbox()
    if box is None:
        return None
    left, top, right, bottom = box
    return (
        max(left - padding, 0),
        max(top - padding, 0),
        min(right + padding, mask.width),
        min(bottom + padding, mask.height),
    )


def _widened(low: int, high: int, wanted: float, limit: int) -> tuple[int, int]:
    """A span made `wanted` long around its middle and shifted into 0..limit."""
    more = int(wanted - (high - low))
    low, high = low - more // 2, high + more - more // 2
    if high >= limit:
        low, high = low - (high - limit), limit
    if low < 0:
        low, high = 0, high - low
    return low, min(high, limit)


def box_of_ratio(box: Box, ratio_of: tuple[int, int], picture: tuple[int, int]) -> Box:
    """`box` widened to the proportions of `ratio_of` (width, height) as far as the picture allows."""
    left, top, right, bottom = box
    ratio = ratio_of[0] / ratio_of[1]
    if (right - left) / (bottom - top) > ratio:
        top, bottom = _widened(top, bottom, (right - left) / ratio, picture[1])
    else:
        left, right = _widened(left, right, (bottom - top) * ratio, picture[0])
    return left, top, right, bottom


def fill_masked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The masked part painted over with the blurred surroundings (masked content "fill")."""
    visible = Image.new("RGBa", image.size)
    visible.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    result = Image.new("RGBA", image.size)
    for radius, repeats in _FILL_BLURS:
        blurred = visible.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            result.alpha_composite(blurred)
    return result.convert("RGB")


def overlay_of(image: Image.Image, mask: Image.Image) -> Image.Image:
    """What of `image` is laid over the result again: RGBA, transparent where the mask is white.

    Pasted into premultiplied pixels as A1111 does it, so that half-transparent colours are rounded alike.
    """
    overlay = Image.new("RGBa", image.size)
    overlay.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    return overlay.convert("RGBA")


def uncropped(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """`image` brought into its `box` of a picture of that `size`: RGBA, transparent around it."""
    left, top, right, bottom = box
    canvas = Image.new("RGBA", size)
    canvas.paste(resize_image(CROP_AND_RESIZE, image, (right - left, bottom - top)), (left, top))
    return canvas


def latent_mask(mask: Image.Image, shape: tuple[int, int], *, rounded: bool) -> Tensor:
    """The mask at latent size (height, width): 1 where repainted. Sampled bicubically, rounded unless soft."""
    small = mask.convert("RGB").resize((shape[1], shape[0]))
    values = torch.from_numpy(np.asarray(small, dtype=np.float32)[:, :, 0] / 255)
    return values.round() if rounded else values


def whole_picture_overlay_mask(mask: Image.Image) -> Image.Image:
    """The mask for laying the original over, when the whole picture is inpainted: twice as strong, so half covers."""
    return mask.point(lambda value: min(255, value * 2))
