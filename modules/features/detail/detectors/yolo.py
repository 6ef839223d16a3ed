"""What YOLO's networks take and answer, since version 8: letterboxed pictures in, boxes, scores and masks out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Floats, Grey, RgbArray
from modules.features.detail.detectors.detection import Detection, DetectorError, clipped

_GREY: Final = 114
_SAME: Final = 0.7
_MOST: Final = 300
# Of the surest candidates only so many are compared with one another.
_CANDIDATES: Final = 3000


@dataclass(frozen=True, slots=True)
class Letterboxed:
    """A picture fitted into a network's input: `values` [1, 3, height, width], RGB of 0 to 1, grey around it."""

    values: Floats
    left: int
    top: int
    wide: int
    high: int
    """The picture's size there."""

    def outside(self, boxes: Floats, picture: RgbArray) -> Floats:
        """Boxes of the input, [count, 4] as corners, in the picture's pixels."""
        scale = np.array([picture.shape[1] / self.wide, picture.shape[0] / self.high] * 2, dtype=np.float32)
        return np.asarray((boxes - np.array([self.left, self.top] * 2)) * scale, dtype=np.float32)


def letterboxed(picture: RgbArray, side: int) -> Letterboxed:
    """`picture` scaled to fit into a square and centred there."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = round((side - wide) / 2 - 0.1), round((side - high) / 2 - 0.1)
    padded = np.full((side, side, 3), _GREY, dtype=np.uint8)
    padded[top : top + high, left : left + wide] = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_LINEAR)
    values = np.ascontiguousarray(padded.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))
    return Letterboxed(values, left, top, wide, high)


def decoded(
    output: Floats,
    prototypes: Floats | None,
    seen: Letterboxed,
    picture: RgbArray,
    names: Mapping[int, str],
    confidence: float,
) -> list[Detection]:
    """What a network's answer says of `picture`, the surest first.

    `output` is [4 + classes (+ coefficients), places]: middle, width and height in the input's pixels, a score of 0
    to 1 for each class, and, with `prototypes` of [coefficients, height, width], what mixes these into a mask.

    Raises:
        DetectorError: the numbers of channels don't fit.
    """
    masks = 0 if prototypes is None else prototypes.shape[0]
    classes = output.shape[0] - 4 - masks
    if output.ndim != 2 or classes < 1:
        raise DetectorError("The detector's file answers in a form that no YOLO since version 8 has.")
    scores, kinds = output[4 : 4 + classes].max(axis=0), output[4 : 4 + classes].argmax(axis=0)
    likely = np.flatnonzero(scores >= confidence)
    likely = likely[np.argsort(-scores[likely], kind="stable")][:_CANDIDATES]
    middles, halves = output[:2, likely].T, output[2:4, likely].T / 2
    corners = np.concatenate([middles - halves, middles + halves], axis=1)
    chosen = list(distinct_boxes(corners, _SAME, kinds[likely]))
    boxes = seen.outside(corners[chosen], picture)
    found = []
    for index, box in zip(likely[chosen], boxes, strict=True):
        inside = clipped(box, picture.shape[1], picture.shape[0])
        if inside is None:
            continue
        shape = None if prototypes is None else _shape(output[-masks:, index], prototypes, seen, picture, inside)
        label = names.get(int(kinds[index]), str(kinds[index]))
        found.append(Detection(box=inside, confidence=float(scores[index]), label=label, shape=shape))
    return found


def distinct_boxes(corners: Floats, same: float, kinds: np.ndarray | None = None) -> Iterator[int]:
    """Of boxes, [count, 4] in the order of their scores, those that overlap no surer one (of their kind) by `same`."""
    areas = (corners[:, 2:] - corners[:, :2]).clip(0).prod(axis=1)
    left = np.arange(len(corners))
    for _ in range(_MOST):
        if not left.size:
            return
        first, left = left[0], left[1:]
        yield int(first)
        low = np.maximum(corners[first, :2], corners[left, :2])
        common = (np.minimum(corners[first, 2:], corners[left, 2:]) - low).clip(0).prod(axis=1)
        apart = common <= same * (areas[first] + areas[left] - common)
        left = left[apart if kinds is None else apart | (kinds[left] != kinds[first])]


def _shape(
    mix: Floats, prototypes: Floats, seen: Letterboxed, picture: RgbArray, box: tuple[float, float, float, float]
) -> Grey:
    """The mask that `mix` makes of the prototypes, at the picture's size, nothing outside of `box`."""
    side = seen.values.shape[2]
    small = np.tensordot(mix, prototypes, axes=1).astype(np.float32)
    whole = np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR))
    part = np.ascontiguousarray(whole[seen.top : seen.top + seen.high, seen.left : seen.left + seen.wide])
    size = picture.shape[1], picture.shape[0]
    inside = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)) > 0
    mask = np.zeros(picture.shape[:2], dtype=np.uint8)
    left, top, right, bottom = (round(edge) for edge in box)
    mask[top:bottom, left:right] = np.where(inside[top:bottom, left:right], 255, 0)
    return mask
