"""The list of detectors."""

import unicodedata
from pathlib import Path

import pytest

from modules.catalogue.model_errors import ModelNotFoundError
from modules.features.detail.detectors.plan import MEDIAPIPE, list_detectors, named_detector


def test_files_come_first_faces_before_hands(tmp_path: Path) -> None:
    for name in ("hand_yolov8n.pt", "face_yolov8n.pt", "A-person.onnx", "notes.txt"):
        (tmp_path / name).touch()
    names = [one.name for one in list_detectors([tmp_path, tmp_path / "missing"])]
    assert names == ["face_yolov8n.pt", "A-person.onnx", "hand_yolov8n.pt", *MEDIAPIPE]


def test_a_name_is_found_in_any_case_and_without_suffix(tmp_path: Path) -> None:
    (tmp_path / "Face_YOLOv8n.onnx").touch()
    listed = list_detectors([tmp_path])
    assert named_detector("face_yolov8n", listed).path == tmp_path / "Face_YOLOv8n.onnx"
    assert named_detector("MediaPipe_face_mesh", listed).path is None


def test_a_name_is_found_in_either_normal_form(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "visage_né.pt")).touch()
    listed = list_detectors([tmp_path])
    for form in ("NFC", "NFD"):
        assert named_detector(unicodedata.normalize(form, "Visage_Né"), listed) == listed[0]


def test_a_missing_detector_is_named_with_its_folder() -> None:
    with pytest.raises(
        ModelNotFoundError, match=r"'hand_yolov8n\.onnx' is not here: put its file into models/adetailer"
    ):
        named_detector("hand_yolov8n.onnx", list_detectors([]))
