"""Running a preprocessor: which function computes which name's map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from modules.features.controlnet.arrays import Grey, Picture, at_resolution
from modules.features.controlnet.preprocessors import pixels
from modules.features.controlnet.preprocessors.declare import Preprocessor

_SHUFFLE_RESOLUTION: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A unit's numbers: None, or what a slider does not reach, means the slider's default."""

    resolution: float | None = None
    threshold_a: float | None = None
    threshold_b: float | None = None
    seed: int = 0
    """The picture's seed and its variation's, added up; shuffling alone draws from it."""


# A picture and the numbers of the sliders A and B become a map of the same size.
_Compute = Callable[[Picture, float, float], Picture]

_PLAIN: Final[Mapping[str, _Compute]] = {
    "invert": lambda picture, _a, _b: pixels.inverted(picture),
    "threshold": lambda picture, a, _b: pixels.threshold(picture, a),
    "canny": pixels.canny,
    "blur_gaussian": lambda picture, a, _b: pixels.gaussian(picture, a),
    "scribble_xdog": lambda picture, a, _b: pixels.xdog(picture, a),
    "lineart_standard": lambda picture, _a, _b: pixels.lineart_standard(picture),
    "tile_resample": lambda picture, a, _b: pixels.downsampled(picture, a),
    "color": lambda picture, _a, _b: pixels.colour_grid(picture),
    "recolor_luminance": lambda picture, a, _b: pixels.luminance(picture, a),
    "recolor_intensity": lambda picture, a, _b: pixels.intensity(picture, a),
}


def preprocess(preprocessor: Preprocessor, picture: Picture, settings: Settings, mask: Grey | None = None) -> Picture:
    """The map of a picture, [height, width, 3]; its shorter side has the resolution where the preprocessor has one.

    `mask`, of the picture's size, white where something is to be painted, becomes the fourth channel for those that
    take one; without a mask nothing is masked.
    """
    if preprocessor.takes_mask:
        channel = np.zeros(picture.shape[:2], np.uint8) if mask is None else mask
        return np.dstack([picture, channel])
    a, b = (
        0.0 if slider is None else slider.value(given)
        for slider, given in (
            (preprocessor.threshold_a, settings.threshold_a),
            (preprocessor.threshold_b, settings.threshold_b),
        )
    )
    if preprocessor.name == "shuffle":
        small = at_resolution(picture, _SHUFFLE_RESOLUTION, lambda padded: padded)
        return pixels.shuffled(small, settings.seed)
    compute = _PLAIN.get(preprocessor.name)
    if compute is None:
        return picture
    if preprocessor.resolution is None:
        return compute(picture, a, b)
    resolution = round(preprocessor.resolution.value(settings.resolution))
    return at_resolution(picture, resolution, lambda padded: compute(padded, a, b))
