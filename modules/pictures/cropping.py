"""Cutting finished pictures as A1111's Extras do: in parts, around what draws the eye, to the best size; mirroring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from modules.parameters.extras_request import AutoCrop, FocalCrop, SplitOversized
from modules.pictures.size import Size

FaceBox = tuple[float, float, float, float]
_Weights = npt.NDArray[np.float64]

_STEP: Final = 64
_LOOKED_AT: Final = 256
_BLOCK: Final = 16


def split_oversized(image: Image.Image, size: Size, settings: SplitOversized) -> list[Image.Image]:
    """Parts of `size` along the longer direction, overlapping; the picture itself where its proportions are near."""
    ratio = (image.height * size[0]) / (image.width * size[1])
    upright = ratio >= 1
    if min(ratio, 1 / ratio) >= 1 or min(ratio, 1 / ratio) > settings.threshold:
        return [image]
    if upright:
        whole = image.resize((size[0], max(size[1], image.height * size[0] // image.width)), Image.Resampling.LANCZOS)
    else:
        whole = image.resize((max(size[0], image.width * size[1] // image.height), size[1]), Image.Resampling.LANCZOS)
    long, side = (whole.height, size[1]) if upright else (whole.width, size[0])
    count = math.ceil((long - side * settings.overlap_ratio) / (side * (1 - settings.overlap_ratio)))
    starts = [int((long - side) / (count - 1) * number) for number in range(count)] if count > 1 else [0]
    boxes = [(0, start, size[0], start + side) if upright else (start, 0, start + side, size[1]) for start in starts]
    return [whole.crop(box) for box in boxes]


def focal_crop(image: Image.Image, size: Size, settings: FocalCrop, faces: Sequence[FaceBox] = ()) -> Image.Image:
    """`size` cut out of `image` around its point of interest, after it was scaled to just cover that size."""
    scale = max(size[0] / image.width, size[1] / image.height)
    covering = max(size[0], round(image.width * scale)), max(size[1], round(image.height * scale))
    whole = image.resize(covering, Image.Resampling.LANCZOS)
    x, y = point_of_interest(image, settings, faces)
    left = min(max(0, round(x * whole.width - size[0] / 2)), whole.width - size[0])
    top = min(max(0, round(y * whole.height - size[1] / 2)), whole.height - size[1])
    return whole.crop((left, top, left + size[0], top + size[1]))


def point_of_interest(image: Image.Image, settings: FocalCrop, faces: Sequence[FaceBox] = ()) -> tuple[float, float]:
    """Where the eye goes, as shares of width and height: faces, detail and edges, each with its weight."""
    small = image.convert("L")
    small.thumbnail((_LOOKED_AT, _LOOKED_AT))
    pixels = np.asarray(small, dtype=np.float64)
    points = [
        (_centroid(_edges(pixels)), settings.edges_weight),
        (_centroid(_entropies(pixels)), settings.entropy_weight),
    ]
    for left, top, right, bottom in faces:
        middle = ((left + right) / 2 / image.width, (top + bottom) / 2 / image.height)
        points.append((middle, settings.face_weight / len(faces)))
    total = sum(weight for _, weight in points)
    if total <= 0:
        return 0.5, 0.5
    x, y = (sum(point[axis] * weight for point, weight in points) / total for axis in (0, 1))
    return x, y


def auto_crop(image: Image.Image, settings: AutoCrop) -> Image.Image | None:
    """`image` cut and scaled to the best size within the limits; None where no size is near its proportions."""
    sides = range(-(-settings.mindim // _STEP) * _STEP, settings.maxdim + 1, _STEP)
    wanted = image.width / image.height
    found = []
    for width in sides:
        for height in sides:
            error = 1 - min(wanted / (width / height), (width / height) / wanted)
            if settings.minarea <= width * height <= settings.maxarea and error <= settings.threshold:
                rank = (width * height, -error) if settings.maximize_area else (-error, width * height)
                found.append((rank, (width, height)))
    if not found:
        return None
    return ImageOps.fit(image, max(found)[1], Image.Resampling.LANCZOS)


def flipped(image: Image.Image, how: str) -> Image.Image:
    """`image` mirrored: "Horizontal", "Vertical", or "Both"."""
    if how != "Vertical":
        image = ImageOps.mirror(image)
    return image if how == "Horizontal" else ImageOps.flip(image)


def _edges(pixels: _Weights) -> _Weights:
    """How steep brightness is at each pixel; the weakest nine tenths count nothing."""
    if min(pixels.shape) < 2:
        return np.ones_like(pixels)
    steep: _Weights = np.hypot(*np.gradient(pixels))
    strongest: _Weights = np.where(steep >= np.quantile(steep, 0.9), steep, 0)
    return strongest


def _entropies(pixels: _Weights) -> _Weights:
    """Shannon's entropy of brightness in each block, in bits, above that of the dullest one."""
    height, width = (max(1, -(-side // _BLOCK)) for side in pixels.shape)
    result: _Weights = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            block = pixels[row * _BLOCK : (row + 1) * _BLOCK, column * _BLOCK : (column + 1) * _BLOCK]
            counts = np.bincount((block // 8).astype(int).ravel())
            shares = counts[counts > 0] / block.size
            result[row, column] = -(shares * np.log2(shares)).sum()
    result -= result.min()
    return result


def _centroid(weights: _Weights) -> tuple[float, float]:
    total = weights.sum()
    if total <= 0:
        return 0.5, 0.5
    rows, columns = ((np.arange(side) + 0.5) / side for side in weights.shape)
    return float((weights.sum(0) * columns).sum() / total), float((weights.sum(1) * rows).sum() / total)
