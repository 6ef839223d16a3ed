"""Faces without a file of the user's: MediaPipe's BlazeFace (Bazarevsky et al. 2019) and its face mesh, by OpenCV.

A face smaller than a tenth of the picture is missed at the 192 pixels that the full range model sees, so it looks at
overlapping quarters of the picture as well. What it is not sure of counts only if the mesh finds a face there too:
alone it sees faces in galaxies and on coins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Floats, Grey, RgbArray
from modules.features.detail.detectors.detection import Detection, FloatBox, clipped

_FOLDER: Final = Path(__file__).parent / "mediapipe"
LABEL: Final = "face"

# Two detections are one face if so much of the smaller one lies in the other.
_SAME: Final = 0.4
# Below the first the mesh is consulted; from the second on it says that there is a face.
_SURE: Final = 0.85
_PRESENT: Final = 0.5
# The mesh sees the box enlarged by this, at this size.
_MARGIN: Final = 1.5
_MESH_SIDE: Final = 192
_SCORE_LIMIT: Final = 80.0
# Points of the mesh around the eyes.
_EYES: Final = (
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
)


@dataclass(frozen=True, slots=True)
class _Range:
    """One of the face detectors: its input's side, and for each of its maps the stride and the anchors of a cell."""

    file: str
    side: int
    maps: tuple[tuple[int, int], ...]
    scores: str
    places: str

    def anchors(self) -> Floats:
        """The middles of the cells, [anchors, 2], as shares of the side."""
        middles = []
        for stride, count in self.maps:
            cells = self.side // stride
            rows, columns = np.mgrid[:cells, :cells]
            grid = (np.stack([columns, rows], axis=2).reshape(-1, 2) + 0.5) / cells
            middles.append(np.repeat(grid, count, axis=0))
        return np.concatenate(middles).astype(np.float32)


_SHORT: Final = _Range("face_detection_short_range.tflite", 128, ((8, 2), (16, 6)), "classificators", "regressors")
_FULL: Final = _Range(
    "face_detection_full_range.tflite", 192, ((4, 1),), "reshaped_classifier_face_4", "reshaped_regressor_face_4"
)


@dataclass(frozen=True, slots=True)
class _Face:
    """A face that a detector saw: its box as two corners, its eyes as two points, [2, 2] each, in pixels."""

    corners: Floats
    eyes: Floats
    score: float

    def moved(self, x: int, y: int) -> _Face:
        shift = np.array([x, y], dtype=np.float32)
        return _Face(self.corners + shift, self.eyes + shift, self.score)


class FaceDetector:
    """MediaPipe's detector of the short or the full range, with its mesh. Holds three megabytes of weights."""

    def __init__(self, *, full: bool) -> None:
        self._range = _FULL if full else _SHORT
        self._net = _read(self._range.file)
        self._mesh = _read("face_landmark.tflite")
        self._anchors = self._range.anchors()

    def boxes(self, picture: RgbArray, confidence: float) -> list[Detection]:
        """The faces of a picture, the surest first."""
        height, width = picture.shape[:2]
        found = []
        for face, _ in self._faces(picture, confidence):
            box = clipped(face.corners.reshape(4), width, height)
            if box is not None:
                found.append(Detection(box=box, confidence=face.score, label=LABEL))
        return found

    def meshes(self, picture: RgbArray, confidence: float, *, eyes_only: bool = False) -> list[Detection]:
        """The faces whose mesh is found, with the outline of the face, or of both eyes, as their shape."""
        found = []
        for face, points in self._faces(picture, confidence):
            if points is None:
                points, presence = self._landmarks(picture, face)
                if presence < _PRESENT:
                    continue
            outlines = [points[list(eye)] for eye in _EYES] if eyes_only else [points]
            shape = _hulls(outlines, picture)
            box = _box_of(shape)
            if box is not None:
                found.append(Detection(box=box, confidence=face.score, label=LABEL, shape=shape))
        return found

    def _faces(self, picture: RgbArray, confidence: float) -> Iterator[tuple[_Face, Floats | None]]:
        """Each face once, with its mesh's points where that had to be looked at."""
        seen = list(self._look(picture, confidence))
        if self._range is _FULL:
            for left, top, part in _quarters(picture):
                seen += [face.moved(left, top) for face in self._look(part, confidence)]
        for face in _distinct(seen):
            if face.score >= _SURE:
                yield face, None
                continue
            points, presence = self._landmarks(picture, face)
            if presence >= _PRESENT:
                yield face, points

    def _look(self, picture: RgbArray, confidence: float) -> Iterator[_Face]:
        """What the detector says of one picture, padded to a square with black."""
        side = self._range.side
        height, width = picture.shape[:2]
        square = max(height, width)
        top, left = (square - height) // 2, (square - width) // 2
        padded = np.zeros((square, square, 3), dtype=np.uint8)
        padded[top : top + height, left : left + width] = picture
        how = cv2.INTER_AREA if square > side else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(padded, (side, side), interpolation=how), dtype=np.float32)
        self._net.setInput(np.ascontiguousarray(((small - 127.5) / 127.5).transpose(2, 0, 1)[None]))
        scores = np.asarray(self._net.forward(self._range.scores)).reshape(-1)
        places = np.asarray(self._net.forward(self._range.places)).reshape(-1, 8, 2)
        scores = 1 / (1 + np.exp(-scores.clip(-_SCORE_LIMIT, _SCORE_LIMIT)))
        offset = np.array([left, top], dtype=np.float32)
        for index in np.flatnonzero(scores >= confidence):
            place = places[index] / side
            middle, half = place[0] + self._anchors[index], place[1] / 2
            corners = np.stack([middle - half, middle + half]) * square - offset
            eyes = (place[2:4] + self._anchors[index]) * square - offset
            yield _Face(corners.astype(np.float32), eyes.astype(np.float32), float(scores[index]))

    def _landmarks(self, picture: RgbArray, face: _Face) -> tuple[Floats, float]:
        """The points of the face's mesh, [468, 2] in pixels, and how sure it is that there is a face."""
        across = face.eyes[1] - face.eyes[0]
        angle = np.arctan2(across[1], across[0])
        side = _MARGIN * float((face.corners[1] - face.corners[0]).max())
        cosine, sine = np.cos(angle) * side / _MESH_SIDE, np.sin(angle) * side / _MESH_SIDE
        turn = np.array([[cosine, -sine], [sine, cosine]])
        shift = face.corners.mean(axis=0) - turn @ np.full(2, _MESH_SIDE / 2)
        there = np.column_stack([turn, shift])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = np.asarray(cv2.warpAffine(picture, there, (_MESH_SIDE, _MESH_SIDE), flags=flags), dtype=np.float32)
        self._mesh.setInput(np.ascontiguousarray((crop / 255).transpose(2, 0, 1)[None]))
        presence = float(np.asarray(self._mesh.forward("conv2d_30")).reshape(-1)[0])
        points = np.asarray(self._mesh.forward("conv2d_20")).reshape(-1, 3)[:, :2]
        limited = min(max(presence, -_SCORE_LIMIT), _SCORE_LIMIT)
        return (points @ turn.T + shift).astype(np.float32), 1 / (1 + float(np.exp(-limited)))


def _read(name: str) -> cv2.dnn.Net:
    return cv2.dnn.readNetFromTFLite(np.fromfile(_FOLDER / name, dtype=np.uint8))


def _quarters(picture: RgbArray) -> Iterator[tuple[int, int, RgbArray]]:
    """Nine parts of half the picture's sides, overlapping by half, with their left and upper edges."""
    height, width = picture.shape[:2]
    high, wide = max(1, height // 2), max(1, width // 2)
    for top in sorted({0, (height - high) // 2, height - high}):
        for left in sorted({0, (width - wide) // 2, width - wide}):
            yield left, top, picture[top : top + high, left : left + wide]


def _distinct(faces: Sequence[_Face]) -> list[_Face]:
    """The surest of each group that overlaps, in the order of their scores."""
    chosen: list[_Face] = []
    for face in sorted(faces, key=lambda one: -one.score):
        if all(_overlap(face.corners, other.corners) < _SAME for other in chosen):
            chosen.append(face)
    return chosen


def _overlap(one: Floats, other: Floats) -> float:
    """Which share of the smaller box lies in the other."""
    common = (np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])).clip(0).prod()
    smaller = min((one[1] - one[0]).clip(0).prod(), (other[1] - other[0]).clip(0).prod())
    return float(common / smaller) if smaller > 0 else 0.0


def _hulls(outlines: Sequence[Floats], picture: RgbArray) -> Grey:
    """The convex hulls of groups of points, filled, at the picture's size."""
    mask = np.zeros(picture.shape[:2], dtype=np.uint8)
    for points in outlines:
        cv2.fillConvexPoly(mask, cv2.convexHull(points.round().astype(np.int32)), 255)
    return mask


def _box_of(mask: Grey) -> FloatBox | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
