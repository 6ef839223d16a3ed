"""A small feature space for pictures, by hand, so that the score needs no other network.

An object's picture is cut out against its background and brought to one size; its features are the colours of a
12x12 grid (Lab, in which distances are close to what an eye sees) beside how much of each cell the object covers.
"""

import numpy as np
from PIL import Image

GRID = 12
BORDER = 6
FOREGROUND = 14.0


def to_lab(pixels: np.ndarray) -> np.ndarray:
    """sRGB uint8 [..., 3] to CIE L*a*b* (D65), float."""
    srgb = pixels.astype(np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def border_colour(picture: np.ndarray) -> np.ndarray:
    """The median colour of the outer frame, uint8 [3]."""
    frame = np.ones(picture.shape[:2], bool)
    frame[BORDER:-BORDER, BORDER:-BORDER] = False
    colour: np.ndarray = np.median(picture[frame], axis=0).astype(np.uint8)
    return colour


def foreground(picture: np.ndarray) -> np.ndarray:
    """Where the picture differs from its border colour: bool [h, w]."""
    distance = np.linalg.norm(to_lab(picture) - to_lab(border_colour(picture)), axis=-1)
    differs: np.ndarray = distance > FOREGROUND
    return differs


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The square that holds all but the outermost 1 % of the foreground on each side."""
    ys, xs = np.nonzero(mask)
    if len(xs) < 20:
        return 0, 0, mask.shape[1], mask.shape[0]
    left, right = np.percentile(xs, (1, 99))
    top, bottom = np.percentile(ys, (1, 99))
    side = max(right - left, bottom - top) + 1
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    return round(x), round(y), round(x + side), round(y + side)


def _cut(pixels: np.ndarray, box: tuple[int, int, int, int], fill: int) -> np.ndarray:
    """The box as GRID x GRID cells; what lies outside the picture counts as background."""
    reach = pixels.shape[0]
    padding = [(reach, reach), (reach, reach)] + [(0, 0)] * (pixels.ndim - 2)
    padded = Image.fromarray(np.pad(pixels, padding, constant_values=fill))
    moved = tuple(edge + reach for edge in box)
    return np.asarray(padded.resize((GRID, GRID), Image.Resampling.BOX, box=moved))


def features(picture: np.ndarray) -> np.ndarray:
    """The features of the object in a picture on a plain background: float [12 * 12 * 4]."""
    mask = foreground(picture)
    box = _box(mask)
    colours = _cut(np.where(mask[..., None], picture, 128).astype(np.uint8), box, 128)
    cover = _cut(mask.astype(np.uint8) * 255, box, 0)
    cells = np.concatenate([to_lab(colours) / 50, cover[..., None] / 255 * 1.5], axis=-1)
    return cells.reshape(-1)


def nearest(picture: np.ndarray, templates: dict[str, list[np.ndarray]]) -> list[str]:
    """Names ordered by the distance of their closest template, nearest first."""
    own = features(picture)
    return sorted(templates, key=lambda name: min(float(np.linalg.norm(own - t)) for t in templates[name]))
