"""What a detector finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modules.catalogue.model_errors import ModelFileError
from modules.features.controlnet.arrays import Floats, Grey

FloatBox = tuple[float, float, float, float]


class DetectorError(ModelFileError):
    """A detector's file can't be used; the message is the sentence to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One thing that was found. `box` is (left, top, right, bottom) in pixels, within the picture."""

    box: FloatBox
    confidence: float
    label: str
    shape: Grey | None = None
    """Its outline at the picture's size, from detectors that find one."""

    def mask(self, width: int, height: int) -> Grey:
        """255 inside of its outline, or of its box where it has none; [height, width]."""
        if self.shape is not None:
            return self.shape
        left, top, right, bottom = (round(edge) for edge in self.box)
        filled = np.zeros((height, width), dtype=np.uint8)
        filled[max(0, top) : bottom, max(0, left) : right] = 255
        return filled


def clipped(box: Floats, width: int, height: int) -> FloatBox:
    """(left, top, right, bottom) cut at the picture's edges."""
    left, top, right, bottom = (float(edge) for edge in box)
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
