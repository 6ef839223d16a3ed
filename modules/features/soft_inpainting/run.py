"""Soft inpainting: a mask of many greys that holds on to the picture by degrees, and shows where something changed.

Behaviour reproduced: the script of that name in A1111 v1.10.1, by CodeHatchling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor, linalg

from modules.features.running import FeatureJob
from modules.features.soft_inpainting.declare import SoftInpaintingArguments
from modules.generation.init_picture import InitPicture
from modules.generation.masking import uncropped
from modules.generation.pipeline import JobFeature
from modules.generation.resizing import RESIZE_AND_FILL, resize_image
from modules.pictures.size import Size
from modules.sampling import SoftBlend

# A cell is compared with those up to two away, weighed by a Gaussian that ends just beyond them.
_REACH: Final = 2
_SPREAD: Final = 1.5
# First the largest tenth of the neighbours' differences, then the middle half of those: specks go, patches grow.
_WINDOWS: Final = ((0.9, 1.0), (0.25, 0.75))
_NARROWEST: Final = 1.0
_EDGE_BLUR: Final = 4


@dataclass(frozen=True, slots=True)
class SoftInpainting:
    """The script's six numbers: three for the steps (`blend`), three for what is laid over the result.

    `mask_influence` weighs the mask beside the difference, `threshold` is the difference that is half opaque, and
    `contrast` how sharply less and more part there.
    """

    blend: SoftBlend
    mask_influence: float = 0.0
    threshold: float = 0.5
    contrast: float = 2.0

    @classmethod
    def by(cls, numbers: SoftInpaintingArguments) -> Self:
        """With the script's arguments."""
        return cls(
            SoftBlend(numbers.schedule_bias, numbers.preservation_strength, numbers.transition_contrast_boost),
            numbers.mask_influence,
            numbers.difference_threshold,
            numbers.difference_contrast,
        )

    def overlay_mask(
        self, painted: Tensor, before: Tensor, after: Tensor, source: InitPicture, size: Size
    ) -> Image.Image:
        """Where one image's result replaces the original: grey, of the size of the source's `original`.

        `painted` is (height, width) in latent cells, `before` and `after` (channels, height, width); `size` is that of
        the pass in pixels. Where the source's blurred mask is black the original stays to the bit, which A1111 leaves
        to the difference alone.
        """
        assert source.overlay_mask is not None
        distance = linalg.vector_norm((after - before).float(), dim=0).cpu().numpy()
        opacity = self._opacity(distance, painted.float().cpu().numpy())
        grey = resize_image(RESIZE_AND_FILL, Image.fromarray(opacity, "L"), size).convert("L")
        grey = grey.filter(ImageFilter.GaussianBlur(_EDGE_BLUR))
        if source.paste_to is not None:
            grey = uncropped(grey, source.overlay_mask.size, source.paste_to).convert("L")
        touched = source.overlay_mask.point(lambda value: 255 if value else 0)
        return ImageChops.darker(grey, touched)

    def _opacity(self, distance: np.ndarray, painted: np.ndarray) -> np.ndarray:
        """(height, width) of 8 bits: how much of the result is shown in each cell."""
        for window in _WINDOWS:
            distance = windowed_mean(distance, *window)
        share = 1 - np.clip(painted, 0, 1) ** (self.blend.preservation / 2)
        share = 0.5 * (1 - self.mask_influence) + share * self.mask_influence
        half = self.threshold * share / (1.00001 - share)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            preserved = 1 / (1 + np.nan_to_num(distance / half, nan=0.0) ** self.contrast)
        preserved = preserved**3 * (preserved * (6 * preserved - 15) + 10)
        opacity: np.ndarray = (255 * (1 - preserved)).astype(np.uint8)
        return opacity


class SoftInpaintingFeature(JobFeature):
    """The script in a job: it holds on to what is outside a mask by degrees."""

    def __init__(self, job: FeatureJob) -> None:
        self.mask = SoftInpainting.by(SoftInpaintingArguments.of(job.resolved.request.scripts))


def _kernel() -> np.ndarray:
    along = np.arange(-_REACH, _REACH + 1)
    square = along[:, None] ** 2 + along[None, :] ** 2
    ends = np.exp(-((_REACH + 1) ** 2) / _SPREAD**2)
    kernel: np.ndarray = np.maximum((np.exp(-square / _SPREAD**2) - ends) / (1 - ends), 0)
    return kernel


def windowed_mean(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Each cell's neighbours in the order of their values, weighed, and the mean of those from `low` to `high` of them.

    0 to 1 is a blur, 0.5 to 0.5 a median, 1 to 1 a maximum; the window is never narrower than one cell's weight.
    Neighbours beyond the edge do not count.
    """
    kernel = _kernel().ravel()
    height, width = values.shape
    padded = np.pad(values.astype(np.float64), _REACH)
    inside = np.pad(np.ones_like(values, dtype=np.float64), _REACH)
    views = [(row, column) for row in range(2 * _REACH + 1) for column in range(2 * _REACH + 1)]
    near = np.stack([padded[r : r + height, c : c + width] for r, c in views], axis=-1)
    weight = np.stack([inside[r : r + height, c : c + width] for r, c in views], axis=-1) * kernel
    order = np.argsort(near, axis=-1, kind="stable")
    near, weight = np.take_along_axis(near, order, -1), np.take_along_axis(weight, order, -1)
    ends = np.cumsum(weight, axis=-1)
    total = ends[..., -1]
    start, stop = total * low, total * high
    # A window that is too narrow is widened about its middle and moved back into the range.
    middle = (start + stop) / 2
    narrow = stop - start < _NARROWEST
    start, stop = np.where(narrow, middle - _NARROWEST / 2, start), np.where(narrow, middle + _NARROWEST / 2, stop)
    over = narrow & (stop > total)
    start, stop = np.where(over, total - _NARROWEST, start), np.where(over, total, stop)
    under = narrow & (start < 0)
    start, stop = np.where(under, 0, start), np.where(under, _NARROWEST, stop)
    taken = np.minimum(stop[..., None], ends) - np.maximum(start[..., None], ends - weight)
    taken = np.maximum(taken, 0)
    weighed = taken.sum(axis=-1)
    mean: np.ndarray = (near * taken).sum(axis=-1) / np.where(weighed > 0, weighed, 1)
    return mean
