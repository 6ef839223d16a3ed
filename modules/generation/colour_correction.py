"""Colours of the result brought back to those of the source (option img2img_color_correction)."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

# sRGB's primaries in CIE XYZ, each row divided by its sum so that white is (1, 1, 1): IEC 61966-2-1, D65.
_TO_XYZ: Final = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_TO_WHITE: Final = _TO_XYZ / _TO_XYZ.sum(axis=1, keepdims=True)
_FROM_WHITE: Final = np.linalg.inv(_TO_WHITE)
# Below this CIE Lab replaces its cube root by a straight line.
_KNEE: Final = 216 / 24389
_LUMA: Final = np.array([0.299, 0.587, 0.114])


def to_lab(pixels: np.ndarray) -> np.ndarray:
    """8-bit sRGB (height, width, 3) as 8-bit CIE Lab: lightness on 0..255, a and b moved up by 128."""
    share = pixels / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_WHITE.T
    root = np.where(xyz > _KNEE, np.cbrt(xyz), xyz * (24389 / 27 / 116) + 16 / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    lab = np.stack([(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128], axis=-1)
    rounded: np.ndarray = np.rint(lab).clip(0, 255).astype(np.uint8)
    return rounded


def from_lab(lab: np.ndarray) -> np.ndarray:
    """The way back from `to_lab`. Colours that sRGB lacks are cut off."""
    light, a, b = np.moveaxis(lab.astype(np.float64), -1, 0)
    y = (light / 2.55 + 16) / 116
    root = np.stack([y + (a - 128) / 500, y, y - (b - 128) / 200], axis=-1)
    xyz = np.where(root > _KNEE ** (1 / 3), root**3, (root - 16 / 116) / (24389 / 27 / 116))
    linear = (xyz @ _FROM_WHITE.T).clip(0, 1)
    share = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    rounded: np.ndarray = np.rint(share * 255).clip(0, 255).astype(np.uint8)
    return rounded


def _matched(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`values` with the cumulative histogram of `reference`, one channel of 8 bits each; fractions are cut off."""
    counts = np.bincount(values.ravel(), minlength=256)
    wanted = np.bincount(reference.ravel(), minlength=256)
    shares = np.cumsum(counts) / values.size
    present = np.flatnonzero(wanted)
    table = np.interp(shares, np.cumsum(wanted[present]) / reference.size, present)
    matched: np.ndarray = table[values].astype(np.uint8)
    return matched


def match_colours(image: Image.Image, reference: Image.Image) -> Image.Image:
    """`image` with each Lab channel's histogram matched to `reference`, its own luminosity kept.

    As A1111: the matched picture is laid over the original in blend mode "luminosity", so light and dark stay those
    of the result and only the cast goes.
    """
    pixels = np.asarray(image.convert("RGB"))
    own, wanted = to_lab(pixels), to_lab(np.asarray(reference.convert("RGB")))
    matched = np.stack([_matched(own[..., channel], wanted[..., channel]) for channel in range(3)], axis=-1)
    return Image.fromarray(_with_luminosity(from_lab(matched), pixels), "RGB")


def _with_luminosity(colours: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Hue and saturation of `colours` with the luma of `light` (the W3C compositing "luminosity" mode)."""
    base = colours / 255
    moved = base + ((light / 255) @ _LUMA - base @ _LUMA)[..., None]
    low, high = moved.min(axis=-1, keepdims=True), moved.max(axis=-1, keepdims=True)
    centre = (moved @ _LUMA)[..., None]
    moved = np.where(low < 0, centre + (moved - centre) * centre / np.maximum(centre - low, 1e-9), moved)
    moved = np.where(high > 1, centre + (moved - centre) * (1 - centre) / np.maximum(high - centre, 1e-9), moved)
    whole: np.ndarray = (moved.clip(0, 1) * 255).astype(np.uint8)
    return whole
