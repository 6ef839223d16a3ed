"""Anyline: TEED's edges in MTEED's weights beside the lines of a drawing, as TheMistoAI runs them (Apache-2.0)."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Grey, RgbArray, blurred, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.teed import Teed, teed_edges
from modules.features.controlnet.preprocessors.pixels import safe_steps

_SIGMA: Final = 2.0
_LEAST: Final = 3
_STRONGEST: Final = 16.0
_SMALLEST: Final = 36


def anyline(net: Teed, picture: RgbArray) -> Grey:
    """White lines on black, [height, width]: the sum, as light on light, of soft edges and of strokes."""
    edges = cut_to_bytes(safe_steps(teed_edges(net, picture)) * 255).astype(np.float32) / 255
    strokes = _strokes(picture).astype(np.float32) / 255
    return cut_to_bytes((1 - (1 - strokes) * (1 - edges)) * 255)


def _strokes(picture: RgbArray) -> Grey:
    """Where the picture is darker than its surroundings, without specks."""
    darker = (blurred(picture, _SIGMA) - picture).min(axis=2).clip(0, 255)
    lines = darker[darker > _LEAST]
    strength = max(_STRONGEST, float(np.median(lines)) if lines.size else 0.0)
    strokes = cut_to_bytes(darker / strength * 127)
    _, labels, about, _ = cv2.connectedComponentsWithStats((strokes > 0).astype(np.uint8), connectivity=4)
    areas = np.asarray(about)[:, cv2.CC_STAT_AREA]
    return np.where(areas[np.asarray(labels)] >= _SMALLEST, strokes, np.uint8(0))
