"""Colours of the result brought back to those of the source (option img2img_color_correction)."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageCms

_LAB = ImageCms.createProfile("LAB")
_RGB = ImageCms.createProfile("sRGB")


def _matched(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`values` with the cumulative histogram of `reference`, one channel of 8 bits each."""
    counts = np.bincount(values.ravel(), minlength=256)
    wanted = np.bincount(reference.ravel(), minlength=256)
    shares = np.cumsum(counts) / values.size
    wanted_shares = np.cumsum(wanted) / reference.size
    present = wanted > 0
    table: np.ndarray = np.interp(shares, wanted_shares[present], np.arange(256)[present])
    matched: np.ndarray = np.clip(np.rint(table[values]), 0, 255).astype(np.uint8)
    return matched


def _converted(image: Image.Image, source: object, target: object, mode: str) -> Image.Image:
    converted = ImageCms.profileToProfile(image, source, target, outputMode=mode)  # type: ignore[arg-type]
    assert converted is not None  # only an in-place conversion gives None
    return converted


def match_colours(image: Image.Image, reference: Image.Image) -> Image.Image:
    """`image` with each Lab channel's histogram matched to `reference`, its own luminosity kept.

    As A1111: the matched picture is laid over the original in blend mode "luminosity", so light and dark stay those
    of the result and only the cast goes.
    """
    own = np.asarray(_converted(image.convert("RGB"), _RGB, _LAB, "LAB"))
    wanted = np.asarray(_converted(reference.convert("RGB"), _RGB, _LAB, "LAB"))
    matched = np.stack([_matched(own[..., channel], wanted[..., channel]) for channel in range(3)], axis=-1)
    corrected = _converted(Image.fromarray(matched, "LAB"), _LAB, _RGB, "RGB")
    return _with_luminosity(corrected, image.convert("RGB"))


def _with_luminosity(colours: Image.Image, light: Image.Image) -> Image.Image:
    """Hue and saturation of `colours` with the luma of `light` (the W3C compositing "luminosity" mode)."""
    base = np.asarray(colours, dtype=np.float32) / 255
    weights = np.array([0.3, 0.59, 0.11], dtype=np.float32)
    luma = (np.asarray(light, dtype=np.float32) / 255) @ weights
    moved = base + (luma - base @ weights)[..., None]
    low, high = moved.min(axis=-1, keepdims=True), moved.max(axis=-1, keepdims=True)
    centre = luma[..., None]
    moved = np.where(low < 0, centre + (moved - centre) * centre / np.maximum(centre - low, 1e-6), moved)
    moved = np.where(high > 1, centre + (moved - centre) * (1 - centre) / np.maximum(high - centre, 1e-6), moved)
    return Image.fromarray((moved.clip(0, 1) * 255).round().astype(np.uint8), "RGB")
