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


def clipped(box: Floats, width: int, height: int) -> FloatBox | None:
    """(left, top, right, bottom) cut at the picture's edges; None for a box that lies outside or has no area."""
    ends = (width, height, width, height)
    left, top, right, bottom = (min(max(float(edge), 0.0), float(end)) for edge, end in zip(box, ends, strict=True))
    return (left, top, right, bottom) if left < right and top < bottom else None
