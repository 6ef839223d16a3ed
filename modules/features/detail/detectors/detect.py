"""Running a detector by its entry in the list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modules.features.controlnet.arrays import RgbArray
from modules.features.detail.detectors.detection import Detection, DetectorError
from modules.features.detail.detectors.faces import FaceDetector
from modules.features.detail.detectors.plan import Detector
from modules.features.detail.detectors.yolo_net import YoloDetector
from modules.features.detail.detectors.yolo_onnx import OnnxDetector

# What is found in a picture at a confidence of 0 to 1 or above, the surest first.
Detect = Callable[[RgbArray, float], list[Detection]]


def open_detector(detector: Detector) -> Detect:
    """What finds things by `detector`. Load it once for many pictures. A PyTorch file's net is its `module`.

    Raises:
        DetectorError: its file is gone or can't be used.
    """
    if detector.path is not None:
        return _open_file(detector.path)
    faces = FaceDetector(full=detector.name == "mediapipe_face_full")
    if "mesh" not in detector.name:
        return faces.boxes
    eyes_only = detector.name.endswith("eyes_only")
    return lambda picture, confidence: faces.meshes(picture, confidence, eyes_only=eyes_only)


def _open_file(path: Path) -> Detect:
    if not path.is_file():
        raise DetectorError(f"The detector's file {path.name} is gone: reload the list of detectors.")
    return OnnxDetector(path) if path.suffix.lower() == ".onnx" else YoloDetector(path)
