"""The user's YOLO files in ONNX, run by OpenCV."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from modules.features.controlnet.arrays import Floats, RgbArray
from modules.features.detail.detectors.detection import Detection, DetectorError
from modules.features.detail.detectors.onnx_file import read_onnx
from modules.features.detail.detectors.yolo import decoded, letterboxed

_SIDE: Final = 640
_SIDES: Final = range(32, 2049)


class OnnxDetector:
    """A YOLO of version 8 or later, as exported without its own suppression of overlapping boxes."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._net, metadata = read_onnx(path)
        self._names = class_names(_literal(metadata.get("names", "")))
        self._side = _input_side(_literal(metadata.get("imgsz", "")))

    def __call__(self, picture: RgbArray, confidence: float) -> list[Detection]:
        """What is found at `confidence` or above, the surest first. Raises DetectorError."""
        seen = letterboxed(picture, self._side)
        try:
            self._net.setInput(seen.values)
            answers = [np.asarray(one) for one in self._net.forward(self._net.getUnconnectedOutLayersNames())]
        except cv2.error as error:
            raise DetectorError(f"{self._name} can't be run by OpenCV {cv2.__version__}.") from error
        output, prototypes = self._parts(answers)
        return decoded(output, prototypes, seen, picture, self._names, confidence)

    def _parts(self, answers: list[np.ndarray]) -> tuple[Floats, Floats | None]:
        """The boxes' output, and the prototypes of masks where the file makes masks."""
        outputs = [one[0] for one in answers if one.ndim == 3 and one.shape[0] == 1]
        prototypes = [one[0] for one in answers if one.ndim == 4 and one.shape[0] == 1]
        if len(outputs) != 1 or len(prototypes) > 1 or outputs[0].shape[0] > outputs[0].shape[1]:
            raise DetectorError(
                f"{self._name} answers in a form that no YOLO since version 8 has; export it without its own selection"
                " of boxes (nms=False)."
            )
        return outputs[0], prototypes[0] if prototypes else None


def class_names(found: object) -> Mapping[int, str]:
    """The names of the classes as files carry them: a dictionary by number, or a list."""
    if isinstance(found, list | tuple):
        found = dict(enumerate(found))
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(key, int) and isinstance(value, str)}


def _input_side(found: object) -> int:
    sides = found if isinstance(found, list | tuple) else [found]
    usable = [side for side in sides if isinstance(side, int) and side in _SIDES]
    return max(usable, default=_SIDE)


def _literal(text: str) -> object:
    """A dictionary or list written as Python writes it; None for anything else."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
