"""What units do to the decoded picture: their lightness for its own, and what was not painted laid over it.

Behaviour reproduced: recolor and inpaint_only of sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Floats, RgbArray

# The preprocessors whose maps are lightness: to which colour space, which of its channels, and back.
RECOLORS: Final[Mapping[str, tuple[int, int, int]]] = {
    "recolor_luminance": (cv2.COLOR_BGR2LAB, 0, cv2.COLOR_LAB2BGR),
    "recolor_intensity": (cv2.COLOR_BGR2HSV, 2, cv2.COLOR_HSV2BGR),
}


def recoloured(picture: RgbArray, lightness: RgbArray, module: str) -> RgbArray:
    """A picture, [height, width, 3], with the lightness of a map of the same size, made by `module`.

    Red and blue are exchanged, as they are when the map is made.
    """
    there, channel, back = RECOLORS[module]
    changed = np.array(cv2.cvtColor(picture, there))
    changed[:, :, channel] = lightness[:, :, 0]
    return np.asarray(cv2.cvtColor(changed, back), dtype=np.uint8)


def laid_over(picture: RgbArray, masked: RgbArray, blur: int) -> RgbArray:
    """A picture, [height, width, 3], with what is black in the mask of another one, [height, width, 4], taken from it.

    The mask is grown and softened by `blur` pixels.
    """
    mask: Floats = (masked[:, :, 3] > 127).astype(np.float32)
    if blur:
        grown = cv2.dilate(mask, np.ones((blur, blur), np.uint8))
        mask = np.asarray(cv2.blur(grown, (blur, blur)), dtype=np.float32)
    share = mask[:, :, None]
    mixed = picture.astype(np.float32) * share + masked[:, :, :3].astype(np.float32) * (1 - share)
    return np.asarray(mixed.round(), dtype=np.uint8)
