"""Masks as people bring and paint them: what they say, and blurred.

Behaviour reproduced: A1111 v1.10.1. White (255) is repainted, black is not.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def binary_mask(mask: Image.Image, *, rounded: bool) -> Image.Image:
    """The mask in grey: from the alpha channel if that is where it was painted, then cut at half if `rounded`.

    A mask that comes as grey keeps its grey, as in A1111: only what is drawn over a picture is cut. Unlike A1111, a
    mask in colours of which no pixel is quite clear goes by its colours: half-clear white on opaque black is white.
    """
    if mask.mode != "RGBA" or _in_colours(mask):
        return mask.convert("L")
    alpha = mask.getchannel("A")
    return alpha.point(lambda value: 255 if value > 128 else 0) if rounded else alpha


def grey_range(mask: Image.Image) -> tuple[int, int]:
    """The darkest and the lightest grey, 0 to 255, of a mask in grey."""
    used = np.flatnonzero(mask.histogram())
    return int(used[0]), int(used[-1])


def _in_colours(mask: Image.Image) -> bool:
    """Whether an RGBA mask says by its colours, not by its transparency, what is painted."""
    least, most = mask.getchannel("A").getextrema()
    return least == most == 255 or (least != 0 and mask.convert("L").getextrema() != (0, 0))


def _reach(sigma: float) -> int:
    """How many pixels to each side a Gaussian counts."""
    return int(2.5 * max(sigma, 0) + 0.5)


def _weights(sigma: float) -> np.ndarray:
    """A Gaussian in 256ths, 2.5 sigma to each side; each weight is rounded with what those before it left over.

    So OpenCV blurs 8-bit pictures, and A1111 blurs with it: the middle takes what the rounding leaves.
    """
    reach = _reach(sigma)
    offsets = np.arange(-reach, 1)
    exact = np.exp(-(offsets**2) / (2 * sigma**2))
    exact *= 256 / (2 * exact.sum() - 1)
    ends = np.diff(np.rint(np.cumsum(exact[:-1])), prepend=0)
    return np.concatenate([ends, [256 - 2 * ends.sum()], ends[::-1]]).astype(np.int32)


def _blurred_along(pixels: np.ndarray, axis: int, sigma: float) -> np.ndarray:
    """8-bit `pixels` blurred along one axis, edges mirrored about the edge pixel, halves rounded up."""
    weights = _weights(sigma)
    moved = np.moveaxis(pixels, axis, 0).astype(np.int32)
    length = len(moved)
    # A kernel may reach further than the picture is long; then the mirror image is mirrored again.
    period = max(1, 2 * (length - 1))
    sums = np.full_like(moved, 128)
    # One offset at a time: all of them at once would be the picture a hundred times over.
    for offset, weight in enumerate(weights, start=-(len(weights) // 2)):
        index = (np.arange(length) + offset) % period
        sums += weight * moved[np.where(index >= length, period - index, index)]
    return np.moveaxis((sums >> 8).clip(0, 255).astype(np.uint8), 0, axis)


def blur_mask(mask: Image.Image, x: float, y: float) -> Image.Image:
    """The mask blurred by Gaussians of `x` and `y` pixels standard deviation, in 8 bits after each."""
    box = mask.getbbox()
    if box is None:
        return mask
    # Twice as far as the blur reaches all is black, and mirrored there it is still: the rest of a large mask is spared.
    reach, down = 2 * _reach(x), 2 * _reach(y)
    left, top = max(box[0] - reach, 0), max(box[1] - down, 0)
    pixels = np.asarray(mask.crop((left, top, min(box[2] + reach, mask.width), min(box[3] + down, mask.height))))
    for axis, sigma in ((1, x), (0, y)):
        if sigma > 0:
            pixels = _blurred_along(pixels, axis, sigma)
    blurred = Image.new("L", mask.size)
    blurred.paste(Image.fromarray(pixels, "L"), (left, top))
    return blurred
