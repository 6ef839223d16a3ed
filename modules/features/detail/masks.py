"""From what a detector finds to the masks that are painted over, in ADetailer's order of operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Grey
from modules.features.detail.declare import BY_AREA, MERGE, MERGE_INVERT, NONE, DetailTab
from modules.features.detail.detectors.detection import Detection, FloatBox
from modules.pictures.size import Size

_CELL: Final = 8
_SHORTEST: Final = 64
_LONGEST: Final = 8192
# Width and height that SDXL was trained at (Podell et al. 2023, arXiv:2307.01952, appendix I), the wide ones.
_WIDE: Final = (
    *((2048, 512), (1984, 512), (1920, 512), (1856, 512), (1792, 576), (1728, 576), (1664, 576), (1600, 640)),
    *((1536, 640), (1472, 704), (1408, 704), (1344, 704), (1344, 768), (1280, 768), (1216, 832), (1152, 832)),
    *((1152, 896), (1088, 896), (1088, 960), (1024, 960), (1024, 1024)),
)
SDXL_SIZES: Final = tuple(dict.fromkeys((*_WIDE, *((height, width) for width, height in _WIDE))))


@dataclass(frozen=True, slots=True)
class MadeMask:
    """A mask of the picture's size, (height, width), 255 where it is painted over, and the box of what it is for."""

    pixels: Grey
    box: FloatBox


def masks_of(found: Sequence[Detection], tab: DetailTab, size: Size, order: str) -> list[MadeMask]:
    """The masks for what was found in a picture of `size`, those that are empty left out.

    `order` is one of the setting ad_bbox_sortby.
    """
    chosen = sorted_by(order, top_k(within_ratio(named(found, tab.ad_model_classes), tab, size), tab), size)
    width, height = size
    made = []
    for one in chosen:
        pixels = dilated(moved(one.mask(width, height), tab.ad_x_offset, tab.ad_y_offset), tab.ad_dilate_erode)
        if pixels.any():
            made.append(MadeMask(pixels, one.box))
    return merged(made, tab.ad_mask_merge_invert)


def named(found: Sequence[Detection], classes: str) -> list[Detection]:
    """Those of the classes that a tab names, parted by commas; all where it names none."""
    wanted = {name.strip().lower() for name in classes.split(",") if name.strip()}
    return [one for one in found if not wanted or one.label.lower() in wanted]


def within_ratio(found: Sequence[Detection], tab: DetailTab, size: Size) -> list[Detection]:
    """Those whose box takes a share of the picture from the least to the most that the tab allows."""
    whole = size[0] * size[1]
    return [one for one in found if tab.ad_mask_min_ratio <= _area(one.box) / whole <= tab.ad_mask_max_ratio]


def top_k(found: Sequence[Detection], tab: DetailTab) -> list[Detection]:
    """The `ad_mask_k` with the largest boxes or the surest ones, the first of them first; 0 is all, as they are."""
    if tab.ad_mask_k == 0:
        return list(found)
    if tab.ad_mask_filter_method == BY_AREA:
        best = sorted(found, key=lambda one: _area(one.box), reverse=True)
    else:
        best = sorted(found, key=lambda one: one.confidence, reverse=True)
    return best[: tab.ad_mask_k]


def sorted_by(order: str, found: Sequence[Detection], size: Size) -> list[Detection]:
    """In the order of the setting ad_bbox_sortby."""

    def from_center(one: Detection) -> float:
        left, top, right, bottom = one.box
        return math.hypot((left + right - size[0]) / 2, (top + bottom - size[1]) / 2)

    match order:
        case "Position (left to right)":
            return sorted(found, key=lambda one: one.box[0])
        case "Position (center to edge)":
            return sorted(found, key=from_center)
        case "Area (large to small)":
            return sorted(found, key=lambda one: _area(one.box), reverse=True)
    return list(found)


def moved(mask: Grey, right: int, up: int) -> Grey:
    """Shifted; what leaves the picture comes in again on the other side."""
    return np.roll(mask, (-up, right), axis=(0, 1))


def dilated(mask: Grey, by: int) -> Grey:
    """Dilated by a square of that side, or eroded where `by` is negative."""
    if by == 0:
        return mask
    square = np.ones((abs(by), abs(by)), dtype=np.uint8)
    # Beyond the edge there is nothing: an object that is cut off there does not shrink from that side.
    changed = cv2.dilate(mask, square) if by > 0 else cv2.erode(mask, square)
    return np.asarray(changed, dtype=np.uint8)


def merged(made: Sequence[MadeMask], how: str) -> list[MadeMask]:
    """As they are, as one, or as everything else."""
    if how == NONE or not made:
        return list(made)
    assert how in (MERGE, MERGE_INVERT)
    union = np.bitwise_or.reduce([one.pixels for one in made])
    pixels = union if how == MERGE else 255 - union
    return [MadeMask(pixels, box_of(pixels))] if pixels.any() else []


def box_of(mask: Grey) -> FloatBox:
    """(left, top, right, bottom) of everything in a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def meets(mask: Grey, other: Grey) -> bool:
    """Whether two masks of one size have a pixel in common."""
    return bool(np.logical_and(mask, other).any())


def weaker(strength: float, box: FloatBox, size: Size, power: float) -> float:
    """The denoising strength where the box's share of the picture counts: strength * (1 - share) ** power, 0 to 1."""
    rest = max(1 - _area(box) / (size[0] * size[1]), 1e-6)
    changed: float = strength * rest**power
    return min(max(changed, 0.0), 1.0)


def free_size(mask: Grey, padding: int, size: Size) -> Size:
    """The area of `size` in the proportions of the mask's padded box, in whole cells."""
    ratio = _ratio(mask, padding)
    width = math.sqrt(size[0] * size[1] * ratio)
    return _cells(width), _cells(width / ratio)


def trained_size(mask: Grey, padding: int) -> Size:
    """Of the sizes that SDXL was trained at the one whose proportions are nearest to those of the padded box."""
    ratio = _ratio(mask, padding)
    return min(SDXL_SIZES, key=lambda size: abs(math.log(size[0] / size[1] / ratio)))


def _ratio(mask: Grey, padding: int) -> float:
    left, top, right, bottom = box_of(mask)
    height, width = mask.shape
    across: float = min(right + padding, width) - max(left - padding, 0)
    down: float = min(bottom + padding, height) - max(top - padding, 0)
    return across / down


def _cells(side: float) -> int:
    return min(max(round(side / _CELL) * _CELL, _SHORTEST), _LONGEST)


def _area(box: FloatBox) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
