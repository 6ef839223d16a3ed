"""Masks for inpainting: from what was painted to what is repainted, in pixels and in latents.

Behaviour reproduced: A1111 v1.10.1. White (255) is repainted, black kept.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

Box = tuple[int, int, int, int]

# (blur radius, how often it is laid over): the surroundings flow into the masked part, coarse first.
_FILL_BLURS: Final = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


def binary_mask(mask: Image.Image, *, rounded: bool) -> Image.Image:
    """The mask in grey: from the alpha channel if there is one that says something, then cut at half if `rounded`.

    A mask that comes as grey keeps its grey, as in A1111: only what is drawn over a picture is cut.
    """
    if mask.mode != "RGBA" or mask.getchannel("A").getextrema() == (255, 255):
        return mask.convert("L")
    alpha = mask.getchannel("A")
    return alpha.point(lambda value: 255 if value > 128 else 0) if rounded else alpha


def _blurred_along(pixels: np.ndarray, axis: int, sigma: float) -> np.ndarray:
    """Gaussian blur along one axis: 2.5 sigma to each side, edges mirrored about the edge pixel."""
    reach = int(2.5 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    # A kernel may reach further than the picture is long; then the mirror image is mirrored again.
    length = pixels.shape[axis]
    period = max(1, 2 * (length - 1))
    index = (np.arange(length)[:, None] + offsets[None, :]) % period
    index = np.where(index >= length, period - index, index)
    taken = np.take(pixels, index, axis=axis)
    return np.tensordot(taken, weights, axes=([axis + 1], [0]))


def blur_mask(mask: Image.Image, x: float, y: float) -> Image.Image:
    """The mask blurred by Gaussians of `x` and `y` pixels standard deviation, rounded to 8 bits after each."""
    pixels = np.asarray(mask, dtype=np.float64)
    for axis, sigma in ((1, x), (0, y)):
        if sigma > 0:
            pixels = np.clip(np.rint(_blurred_along(pixels, axis, sigma)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8), "L")


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


def _widened(low: int, high: int, wanted: int, limit: int) -> tuple[int, int]:
    """A span made `wanted` long around its middle and shifted into 0..limit."""
    more = wanted - (high - low)
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
        top, bottom = _widened(top, bottom, int((right - left) / ratio), picture[1])
    else:
        left, right = _widened(left, right, int((bottom - top) * ratio), picture[0])
    return left, top, right, bottom


def fill_masked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The masked part painted over with the blurred surroundings (masked content "fill")."""
    kept = Image.new("RGBa", image.size)
    kept.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    result = Image.new("RGBA", image.size)
    for radius, repeats in _FILL_BLURS:
        blurred = kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            result.alpha_composite(blurred)
    return result.convert("RGB")


def overlay_of(image: Image.Image, mask: Image.Image) -> Image.Image:
    """What of `image` is laid over the result again: RGBA, transparent where the mask is white."""
    overlay = image.convert("RGBA")
    overlay.putalpha(ImageOps.invert(mask.convert("L")))
    return overlay


def latent_mask(mask: Image.Image, shape: tuple[int, int], *, rounded: bool) -> Tensor:
    """The mask at latent size (height, width): 1 where repainted. Sampled bicubically, rounded unless soft."""
    small = mask.convert("RGB").resize((shape[1], shape[0]))
    values = torch.from_numpy(np.asarray(small, dtype=np.float32)[:, :, 0] / 255)
    return values.round() if rounded else values


def whole_picture_overlay_mask(mask: Image.Image) -> Image.Image:
    """The mask for laying the original over, when the whole picture is inpainted: twice as strong, so half covers."""
    return mask.point(lambda value: min(255, value * 2))
