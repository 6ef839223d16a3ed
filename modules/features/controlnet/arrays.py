"""Pictures as arrays of bytes, and the few steps that every preprocessor shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from modules.generation.resizing import check_strip

# [height, width, channels], 0 to 255.
RgbArray = npt.NDArray[np.uint8]
# [height, width], 0 to 255.
Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# The networks halve their input up to six times.
_MULTIPLE: Final = 64


def rgb_array(image: Image.Image) -> RgbArray:
    """[height, width, 3] of any picture; what is transparent lies on white."""
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), over)
    return np.array(image.convert("RGB"))


def three_channels(grey: Grey) -> RgbArray:
    """[height, width, 3] of [height, width]."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def cut_to_bytes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Cut to 0 to 255, and to whole numbers towards 0."""
    return values.clip(0, 255).astype(np.uint8)


def blurred(values: Floats | RgbArray, sigma: float) -> Floats:
    """Under a Gaussian of `sigma` pixels, in 32 bits."""
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), sigma), dtype=np.float32)


def at_size(picture: RgbArray, size: tuple[int, int]) -> RgbArray:
    """`picture` at `size` (width, height): by areas where it shrinks, else bicubically."""
    height, width = picture.shape[:2]
    how = cv2.INTER_CUBIC if size[0] * size[1] > width * height else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


def at_resolution(picture: RgbArray, resolution: int, compute: Callable[[RgbArray], RgbArray]) -> RgbArray:
    """`compute` of `picture` scaled until its shorter side has `resolution` pixels.

    What `compute` sees is padded to multiples of 64 by repeating the pixels at the right and the lower edge; its
    result, of the same size, comes back without the padding. Raises RequestError for a strip.
    """
    height, width = picture.shape[:2]
    scale = resolution / min(height, width)
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    check_strip((width, height), (wide, high))
    small = at_size(picture, (wide, high))
    padded = np.pad(small, ((0, -high % _MULTIPLE), (0, -wide % _MULTIPLE), (0, 0)), mode="edge")
    return np.ascontiguousarray(compute(padded)[:high, :wide])
