"""Poses by two networks in ONNX, run by OpenCV: persons or animals by YOLOX, the points of each by an RTMPose.

DWPose (Yang et al. 2023, Apache-2.0) finds 133 points of a person, RTMPose on AP-10K 17 of an animal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Floats, RgbArray
from modules.features.controlnet.poses.declare import BODY, Points, Pose
from modules.features.controlnet.preprocessors.nets.loading import AnnotatorError
from modules.features.detail.detectors.onnx_file import read_onnx
from modules.features.detail.detectors.yolo import distinct_boxes

_SIDE: Final = 640
_GREY: Final = 114
_STRIDES: Final = (8, 16, 32)
_LIKELY, _SAME, _SURE = 0.1, 0.45, 0.3

_MARGIN: Final = 1.25
_MEAN: Final = (123.675, 116.28, 103.53)
_STD: Final = (58.395, 57.12, 57.375)
_SEEN: Final = 0.3
_PARTS: Final = 5
# Places of COCO's points: where the neck is put, and what OpenPose's joints are with the neck among them.
_SHOULDERS, _NECK = (5, 6), 17
_FROM_COCO: Final = {
    1: 17, 2: 6, 3: 8, 4: 10, 6: 7, 7: 9, 8: 12, 9: 14, 10: 16, 12: 13, 13: 15, 14: 2, 15: 1, 16: 4, 17: 3,
}  # fmt: skip
_FACE, _LEFT_HAND, _RIGHT_HAND = slice(24, 92), slice(92, 113), slice(113, 134)
_EYES: Final = (14, 15)


@dataclass(frozen=True, slots=True)
class _PoseForm:
    """What a pose network takes and finds: its size (width, height), how many points, in things of which of COCO's
    classes; `wanted` is the name of its published file."""

    size: tuple[int, int]
    points: int
    classes: slice
    wanted: str


_PERSON: Final = _PoseForm((288, 384), 133, slice(0, 1), "dw-ll_ucoco_384.onnx")
_ANIMAL: Final = _PoseForm((256, 256), 17, slice(14, 24), "rtmpose-m_simcc-ap10k")


class PointFinder:
    """Both networks. Raises ModelFileError where a file can't be used."""

    def __init__(self, detector: Path, pose: Path, form: _PoseForm) -> None:
        self._detector, _ = read_onnx(detector)
        self._pose, _ = read_onnx(pose)
        self._names, self._form = (detector.name, pose.name), form

    def found(self, picture: RgbArray) -> Iterator[tuple[Floats, Floats]]:
        """For each thing in the picture, the surest first, its points (x, y) in pixels and how sure each is."""
        for box in self._boxes(picture):
            yield self._points(picture, box)

    def _boxes(self, picture: RgbArray) -> Iterator[Floats]:
        """Boxes (left, top, right, bottom) in pixels."""
        height, width = picture.shape[:2]
        scale = min(_SIDE / height, _SIDE / width)
        wide, high = max(1, int(width * scale)), max(1, int(height * scale))
        padded = np.full((_SIDE, _SIDE, 3), _GREY, dtype=np.uint8)
        padded[:high, :wide] = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_LINEAR)[:, :, ::-1]
        values = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], dtype=np.float32)
        (answer,) = _run(self._detector, values, self._names[0], 1)
        cells, strides = _grid()
        if answer.ndim != 3 or answer.shape[1] != len(cells) or answer.shape[2] < _PARTS + self._form.classes.stop:
            raise AnnotatorError(f"{self._names[0]} answers in a form that YOLOX has not; yolox_l.onnx is wanted.")
        boxes, scores = answer[0, :, :4], answer[0, :, 4] * answer[0, :, _PARTS:][:, self._form.classes].max(axis=1)
        middles, sizes = (boxes[:, :2] + cells) * strides, np.exp(boxes[:, 2:4].clip(-20, 20)) * strides
        corners = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1) / scale
        likely = np.flatnonzero(scores > _LIKELY)
        likely = likely[np.argsort(-scores[likely], kind="stable")]
        for index in distinct_boxes(corners[likely], _SAME):
            if scores[likely[index]] > _SURE:
                yield corners[likely[index]]

    def _points(self, picture: RgbArray, box: Floats) -> tuple[Floats, Floats]:
        sides = self._form.size
        middle, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * _MARGIN
        wide = max(float(size[0]), float(size[1]) * sides[0] / sides[1], 1.0)
        scale = sides[0] / wide
        shift = np.array(sides) / 2 - middle * scale
        there = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        crop = np.asarray(cv2.warpAffine(picture, there, sides, flags=cv2.INTER_LINEAR), dtype=np.float32)
        values = ((crop - np.array(_MEAN)) / np.array(_STD)).transpose(2, 0, 1)[None]
        answers = _run(self._pose, np.ascontiguousarray(values, dtype=np.float32), self._names[1], 2)
        # Two bins a pixel across and down.
        across, down = sorted(answers, key=lambda one: one.shape[-1])
        wanted = [(1, self._form.points, 2 * side) for side in sides]
        if [across.shape, down.shape] != wanted:
            raise AnnotatorError(
                f"{self._names[1]} answers in a form that {self._form.wanted} has not; that file is wanted."
            )
        places = np.stack([across[0].argmax(axis=1), down[0].argmax(axis=1)], axis=1) / 2
        sure = np.minimum(across[0].max(axis=1), down[0].max(axis=1))
        return ((places - shift) / scale).astype(np.float32), sure


class DwPose:
    """Persons. Raises ModelFileError where a file can't be used."""

    def __init__(self, detector: Path, pose: Path) -> None:
        self._finder = PointFinder(detector, pose, _PERSON)

    def __call__(self, picture: RgbArray) -> list[Pose]:
        """The persons of a picture, the surest first."""
        return [openpose_of(places, sure) for places, sure in self._finder.found(picture)]


class AnimalPose:
    """Animals. Raises ModelFileError where a file can't be used."""

    def __init__(self, detector: Path, pose: Path) -> None:
        self._finder = PointFinder(detector, pose, _ANIMAL)

    def __call__(self, picture: RgbArray) -> list[Points]:
        """The 17 points of AP-10K for each animal of a picture, the surest first."""
        return [_seen(places, sure) for places, sure in self._finder.found(picture)]


def _seen(places: Floats, sure: Floats) -> Points:
    return tuple((float(x), float(y)) if seen >= _SEEN else None for (x, y), seen in zip(places, sure, strict=True))


def openpose_of(places: Floats, sure: Floats) -> Pose:
    """OpenPose's joints of COCO's 133, [133, 2] in pixels and how sure each is."""
    neck = places[list(_SHOULDERS)].mean(axis=0, keepdims=True)
    both = sure[list(_SHOULDERS)].min()
    places, sure = np.insert(places, _NECK, neck, axis=0), np.insert(sure, _NECK, both)
    order = [_FROM_COCO.get(joint, joint) for joint in range(BODY)]
    points = _seen(places, sure)
    body: Points = tuple(points[place] for place in order)
    face = (*points[_FACE], *(body[eye] for eye in _EYES))
    return Pose(body=body, left_hand=tuple(points[_LEFT_HAND]), right_hand=tuple(points[_RIGHT_HAND]), face=face)


def _run(net: cv2.dnn.Net, values: Floats, name: str, outputs: int) -> Sequence[Floats]:
    try:
        net.setInput(values)
        answers = [np.asarray(one, dtype=np.float32) for one in net.forward(net.getUnconnectedOutLayersNames())]
    except cv2.error as error:
        raise AnnotatorError(f"{name} can't be run by OpenCV {cv2.__version__}.") from error
    if len(answers) != outputs:
        raise AnnotatorError(f"{name} has {len(answers)} outputs where {outputs} are expected; it is another network.")
    return answers


def _grid() -> tuple[Floats, Floats]:
    """The upper left corners of the cells of all strides, in cells, and the stride of each."""
    cells, strides = [], []
    for stride in _STRIDES:
        count = _SIDE // stride
        rows, columns = np.mgrid[:count, :count]
        cells.append(np.stack([columns, rows], axis=2).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
