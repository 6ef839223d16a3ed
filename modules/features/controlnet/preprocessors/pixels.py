"""The preprocessors that need no weights: RGB pictures in, maps of the same kind out.

Behaviour reproduced: sd-webui-controlnet 1.1.455. Shuffling and non-maximum suppression follow the annotators of
lllyasviel/ControlNet (Apache-2.0), XDoG is Winnemoeller's (2011) without its soft threshold.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Floats, Grey, RgbArray, blurred, cut_to_bytes, three_channels

_GRID: Final = 64
_NOISE_STEP: Final = 256
_DIRECTIONS: Final = (
    ((0, 0, 0), (1, 1, 1), (0, 0, 0)),
    ((0, 1, 0), (0, 1, 0), (0, 1, 0)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
)


def inverted(picture: RgbArray) -> RgbArray:
    """Black for white."""
    return 255 - picture


def threshold(picture: RgbArray, limit: float) -> RgbArray:
    """White where the darkest channel is above `limit`."""
    return three_channels(_white(picture.min(axis=2) > limit))


def canny(picture: RgbArray, low: float, high: float) -> RgbArray:
    """Canny's edges of the strongest of three channels, white on black; gradients in L1, aperture 3."""
    return three_channels(np.asarray(cv2.Canny(picture, low, high), dtype=np.uint8))


def gaussian(picture: RgbArray, sigma: float) -> RgbArray:
    """Blurred by `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.uint8)


def xdog(picture: RgbArray, limit: float) -> RgbArray:
    """Strokes where the picture is darker than its surroundings: the difference of two Gaussians, cut at `limit`."""
    darker = np.ceil((blurred(picture, 5) - blurred(picture, 0.5)).min(axis=2).clip(0, 255))
    return three_channels(_white(2 * darker > limit))


def lineart_standard(picture: RgbArray) -> RgbArray:
    """Lines of a drawing on white, as white on black, evened out by the strength of its own lines."""
    darker = (blurred(picture, 6) - picture).min(axis=2).clip(0, 255)
    lines = darker[darker > 8]
    strength = max(16.0, float(np.median(lines)) if lines.size else 0.0)
    return three_channels(cut_to_bytes(darker / strength * 127))


def downsampled(picture: RgbArray, rate: float) -> RgbArray:
    """Smaller by `rate` in both directions; from 1.1 on."""
    if rate < 1.1:
        return picture
    height, width = picture.shape[:2]
    size = max(1, int(width / rate)), max(1, int(height / rate))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def colour_grid(picture: RgbArray) -> RgbArray:
    """Squares of 64 pixels in one colour each."""
    height, width = picture.shape[:2]
    cells = max(1, width // _GRID), max(1, height // _GRID)
    small = cv2.resize(picture, cells, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def luminance(picture: RgbArray, gamma: float) -> RgbArray:
    """Lab's lightness, to the power of `gamma`. Red and blue are exchanged before, as models were trained."""
    lab = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)
    return _with_gamma(np.asarray(lab[:, :, 0], dtype=np.uint8), gamma)


def intensity(picture: RgbArray, gamma: float) -> RgbArray:
    """HSV's value, the brightest channel, to the power of `gamma`."""
    return _with_gamma(picture.max(axis=2), gamma)


def shuffled(picture: RgbArray, seed: int) -> RgbArray:
    """The picture seen through two smooth fields of noise: its colours and textures without its places."""
    height, width = picture.shape[:2]
    generator = np.random.RandomState(seed & 0xFFFFFFFF)
    across = _smooth_noise(height, width, generator) * np.float32(width - 1)
    down = _smooth_noise(height, width, generator) * np.float32(height - 1)
    return np.asarray(cv2.remap(picture, across, down, cv2.INTER_LINEAR), dtype=np.uint8)


def thin_ridges(values: Floats | Grey, limit: float, sigma: float) -> Grey:
    """255 where `values`, blurred by `sigma`, are above `limit` and greatest along one of four directions."""
    smooth = blurred(values, sigma)
    greatest = np.zeros(smooth.shape, dtype=bool)
    for direction in _DIRECTIONS:
        greatest |= np.asarray(cv2.dilate(smooth, np.array(direction, dtype=np.uint8))) == smooth
    return _white(greatest & (smooth > limit))


def scribble_of(edges: Grey) -> Grey:
    """Thick strokes, as somebody would scribble them, along the ridges of a map of soft edges."""
    strokes = cv2.GaussianBlur(thin_ridges(edges, 127, 3), (0, 0), 3)
    return _white(np.asarray(strokes) > 4)


def safe_steps(values: Floats, count: int = 2) -> Floats:
    """`values` of 0 to 1 in `count` steps: what is left of faint textures, through which a picture could be copied."""
    return np.asarray(np.floor(values * np.float32(count + 1)) / np.float32(count), dtype=np.float32)


def _white(where: np.ndarray) -> Grey:
    return np.where(where, np.uint8(255), np.uint8(0))


def _with_gamma(grey: Grey, gamma: float) -> RgbArray:
    return three_channels(cut_to_bytes((grey.astype(np.float32) / 255) ** np.float32(gamma) * 255))


def _smooth_noise(height: int, width: int, generator: np.random.RandomState) -> Floats:
    """Noise of 0 to 1 whose grains are 256 pixels wide, [height, width]."""
    coarse = generator.uniform(size=(height // _NOISE_STEP + 2, width // _NOISE_STEP + 2))
    size = width + 2 * _NOISE_STEP, height + 2 * _NOISE_STEP
    fine = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))
    inner = fine[_NOISE_STEP : _NOISE_STEP + height, _NOISE_STEP : _NOISE_STEP + width]
    inner = inner - inner.min()
    return np.asarray(inner / (inner.max() or 1), dtype=np.float32)
