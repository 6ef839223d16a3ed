"""Poses as OpenPose draws them, and those of animals.

Drawing reproduced: that of sd-webui-controlnet 1.1.455, which models were trained on.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.poses.declare import BODY, HAND, Points, Pose

_LIMBS: Final = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_FINGERS: Final = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20))
_BONES: Final = tuple(bone for finger in _FINGERS for bone in pairwise(finger))
_HALF_WIDTH: Final = 4
_JOINT: Final = 4
_FACE_POINT: Final = 3
_DARKER: Final = 0.6
_ANIMAL_LIMBS: Final = (
    (0, 1), (1, 2), (0, 2), (2, 3), (3, 8), (8, 9), (9, 10), (3, 5), (5, 6), (6, 7), (3, 4), (4, 14), (14, 15),
    (15, 16), (4, 11), (11, 12), (12, 13),
)  # fmt: skip
# Those that models of animals were trained on.
_ANIMAL_COLOURS: Final = (
    (255, 255, 255), (100, 255, 100), (150, 255, 255), (100, 50, 255), (50, 150, 200), (0, 255, 255), (0, 150, 0),
    (0, 0, 255), (0, 0, 150), (255, 50, 255), (255, 0, 255), (255, 0, 0), (150, 0, 0), (255, 255, 100), (0, 150, 0),
    (255, 255, 0), (150, 150, 150),
)  # fmt: skip
_ANIMAL_WIDTH: Final = 5


def _hue(index: int) -> tuple[int, int, int]:
    """One of eighteen colours around the circle of hues, in steps of 85 as OpenPose has them."""
    third, step = divmod(index, 6)
    rising, falling = min(step, 3) * 85, min(6 - step, 3) * 85
    first: tuple[int, int, int] = (falling, rising, 0)
    return first[-third % 3], first[(1 - third) % 3], first[(2 - third) % 3]


_COLOURS: Final = tuple(_hue(index) for index in range(BODY))


def draw_poses(poses: Sequence[Pose], width: int, height: int) -> RgbArray:
    """The poses on black, [height, width, 3]."""
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    for pose in poses:
        body, left, right, face = (_near(points, max(width, height)) for points in pose.parts)
        _draw_body(canvas, body)
        _draw_hand(canvas, left)
        _draw_hand(canvas, right)
        for point in face:
            if point is not None:
                cv2.circle(canvas, _whole(point), _FACE_POINT, (255, 255, 255), -1)
    return canvas


def draw_animals(animals: Sequence[Points], width: int, height: int) -> RgbArray:
    """The 17 points of AP-10K of each animal, joined by lines on black, [height, width, 3]."""
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    for points in animals:
        near = _near(points, max(width, height))
        for (start, end), colour in zip(_ANIMAL_LIMBS, _ANIMAL_COLOURS, strict=True):
            one, other = near[start], near[end]
            if one is not None and other is not None:
                cv2.line(canvas, _whole(one), _whole(other), colour, _ANIMAL_WIDTH)
    return canvas


def _draw_body(canvas: RgbArray, body: Points) -> None:
    if len(body) < BODY:
        return
    for (start, end), colour in zip(_LIMBS, _COLOURS, strict=False):
        one, other = body[start], body[end]
        if one is None or other is None:
            continue
        middle = _whole(((one[0] + other[0]) / 2, (one[1] + other[1]) / 2))
        length = math.hypot(one[0] - other[0], one[1] - other[1])
        angle = math.degrees(math.atan2(one[1] - other[1], one[0] - other[0]))
        outline = cv2.ellipse2Poly(middle, (int(length / 2), _HALF_WIDTH), int(angle), 0, 360, 1)
        cv2.fillConvexPoly(canvas, np.asarray(outline), tuple(int(value * _DARKER) for value in colour))
    for point, colour in zip(body, _COLOURS, strict=False):
        if point is not None:
            cv2.circle(canvas, _whole(point), _JOINT, colour, -1)


def _draw_hand(canvas: RgbArray, hand: Points) -> None:
    if len(hand) < HAND:
        return
    for index, (start, end) in enumerate(_BONES):
        one, other = hand[start], hand[end]
        if one is not None and other is not None:
            shades = colorsys.hsv_to_rgb(index / len(_BONES), 1, 1)
            cv2.line(canvas, _whole(one), _whole(other), tuple(255 * shade for shade in shades), 2)
    for point in hand:
        if point is not None:
            cv2.circle(canvas, _whole(point), _JOINT, (0, 0, 255), -1)


def _near(points: Points, side: int) -> Points:
    """Without those further outside than the canvas is long: drawing towards them takes minutes and shows nothing."""
    return tuple(
        point if point is not None and all(-side <= value <= 2 * side for value in point) else None for point in points
    )


def _whole(point: tuple[float, float]) -> tuple[int, int]:
    return int(point[0]), int(point[1])
