"""Running a preprocessor: which function or network computes which name's map."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
import torch

from modules.features.controlnet.arrays import Grey, RgbArray, at_resolution
from modules.features.controlnet.poses.declare import Pose
from modules.features.controlnet.poses.drawing import draw_poses
from modules.features.controlnet.preprocessors import pixels
from modules.features.controlnet.preprocessors.declare import Preprocessor, slider_values
from modules.features.controlnet.preprocessors.nets.table import NETWORKS
from modules.features.controlnet.preprocessors.plan import find_weights
from modules.features.shared import OnDevice, SharedCache, in_place

NETWORK: Final = "preprocessor"
"""The kind under which a `SharedCache` stores a preprocessor's network."""
_SHUFFLE_RESOLUTION: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A unit's numbers: None, or what a slider does not reach, means the slider's default.

    A `pixel_perfect` resolution is what the pass wants, and is taken as it is.
    """

    resolution: float | None = None
    pixel_perfect: bool = False
    threshold_a: float | None = None
    threshold_b: float | None = None
    seed: int = 0
    """The picture's seed and its variation's, added up, for maps that are drawn at random."""

    def resolution_of(self, preprocessor: Preprocessor) -> int | None:
        """How long the shorter side is that a preprocessor works on; None where it works on the picture as it is."""
        if preprocessor.resolution is None:
            return None
        if self.pixel_perfect and self.resolution is not None:
            return round(self.resolution)
        return round(preprocessor.resolution.value(self.resolution))

    def acting_on(self, preprocessor: Preprocessor) -> Settings:
        """Those of them that a preprocessor's map depends on, with its defaults in; the others as if not given."""
        a, b = slider_values(preprocessor, self.threshold_a, self.threshold_b)
        resolution = self.resolution_of(preprocessor)
        seed = self.seed if preprocessor.is_random else 0
        # The same map, whichever way it is said.
        return Settings(resolution=resolution, threshold_a=a, threshold_b=b, seed=seed)


# A picture and the numbers of the sliders A and B become a map of the same size.
_Compute = Callable[[RgbArray, float, float], RgbArray]

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


class Preprocessors:
    """Runs preprocessors; the network that was used last stays in `shared` until another one is needed."""

    def __init__(self, folders: Sequence[Path], shared: SharedCache, on_device: OnDevice = in_place) -> None:
        self._folders, self._shared, self._on_device = tuple(folders), shared, on_device

    def run(
        self, preprocessor: Preprocessor, picture: RgbArray, settings: Settings, mask: Grey | None = None
    ) -> RgbArray:
        """The map of a picture, [height, width, 3]; its shorter side has the resolution where there is one to choose.

        `mask`, of the picture's size, white where something is to be painted, becomes the fourth channel for
        preprocessors that take one; without a mask nothing is masked.

        Raises:
            ModelNotFoundError: a file of weights is missing.
            ModelFileError: it can't be used.
        """
        if preprocessor.takes_mask:
            masked = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8) if mask is None else mask])
            fill = self._compute(preprocessor)
            return masked if fill is None else fill(masked, 0, 0)
        if preprocessor.name == "shuffle":
            return pixels.shuffled(at_resolution(picture, _SHUFFLE_RESOLUTION, lambda padded: padded), settings.seed)
        compute = self._compute(preprocessor)
        if compute is None:
            return picture
        a, b = slider_values(preprocessor, settings.threshold_a, settings.threshold_b)
        resolution = settings.resolution_of(preprocessor)
        if resolution is None:
            return compute(picture, a, b)
        return at_resolution(picture, resolution, lambda padded: compute(padded, a, b))

    def key(
        self, preprocessor: Preprocessor, picture: RgbArray, settings: Settings, mask: Grey | None = None
    ) -> Hashable:
        """All that the map of `run` depends on: maps of equal keys are the same.

        Raises:
            ModelNotFoundError: a file of weights is missing.
        """
        seen = blake2b(picture.tobytes())
        if mask is not None:
            seen.update(mask.tobytes())
        weights = _with_times(find_weights(preprocessor, self._folders))
        acting = settings.acting_on(preprocessor)
        return preprocessor.name, acting, picture.shape, mask is None, seen.digest(), weights

    def posed(
        self, preprocessor: Preprocessor, picture: RgbArray, settings: Settings
    ) -> tuple[RgbArray, list[Pose]] | None:
        """As `run`, with the poses that the map shows, in the map's pixels; None for one that finds no poses."""
        find = NETWORKS[preprocessor.name].poses if preprocessor.files else None
        resolution = settings.resolution_of(preprocessor)
        if find is None or resolution is None:
            return None
        net, found = self._network(preprocessor), list[Pose]()

        def drawn(padded: RgbArray) -> RgbArray:
            with self._on_device(net):
                found[:] = find(net, padded)
            return draw_poses(found, padded.shape[1], padded.shape[0])

        return at_resolution(picture, resolution, drawn), found

    def _compute(self, preprocessor: Preprocessor) -> _Compute | None:
        if not preprocessor.files:
            return _PLAIN.get(preprocessor.name)
        net, use = self._network(preprocessor), NETWORKS[preprocessor.name].use

        def compute(picture: RgbArray, a: float, b: float) -> RgbArray:
            with self._on_device(net):
                return use(net, picture, a, b)

        return compute

    def _network(self, preprocessor: Preprocessor) -> object:
        load = NETWORKS[preprocessor.name].load
        files = find_weights(preprocessor, self._folders)
        return self._shared.get(NETWORK, (load, *_with_times(files)), lambda: load(files, torch.device("cpu")), 1)


def _with_times(files: Sequence[Path]) -> tuple[tuple[Path, int], ...]:
    """Files with when they changed last."""
    return tuple((path, path.stat().st_mtime_ns) for path in files)
