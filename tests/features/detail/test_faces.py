"""Faces that are found without any file of the user's, on photographs."""

import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from modules.features.controlnet.arrays import RgbArray
from modules.features.detail.detectors import faces
from modules.features.detail.detectors.detect import open_detector
from modules.features.detail.detectors.plan import MEDIAPIPE, Detector

PHOTOGRAPHS = Path(__file__).parents[1] / "photographs"
# The face of astronaut.jpg, (left, top, right, bottom) from chin to forehead.
FACE = (175, 75, 275, 180)
CONFIDENCE = 0.3


def photograph(name: str) -> RgbArray:
    with Image.open(PHOTOGRAPHS / f"{name}.jpg") as image:
        return np.array(image.convert("RGB"))


def astronaut(share: float) -> RgbArray:
    """The photograph at a share of its size, on grey."""
    picture = np.full((512, 512, 3), 128, np.uint8)
    side = round(512 * share)
    picture[:side, :side] = cv2.resize(photograph("astronaut"), (side, side), interpolation=cv2.INTER_AREA)
    return picture


def same_box(found: tuple[float, ...], expected: tuple[float, ...], within: float) -> bool:
    side = expected[2] - expected[0]
    return all(abs(one - other) <= within * side for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25, 0.15])
def test_a_face_is_found_at_every_size(share: float) -> None:
    (found,) = open_detector(Detector(name="mediapipe_face_full"))(astronaut(share), CONFIDENCE)
    assert found.label == "face" and found.confidence > CONFIDENCE
    assert same_box(found.box, tuple(edge * share for edge in FACE), 0.35)


def test_the_short_range_finds_a_near_face_alone() -> None:
    (found,) = open_detector(Detector(name="mediapipe_face_short"))(astronaut(1), CONFIDENCE)
    assert same_box(found.box, FACE, 0.15)


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "galaxies"])
@pytest.mark.parametrize("detector", MEDIAPIPE[:2])
def test_nothing_is_found_where_there_is_no_face(name: str, detector: str) -> None:
    assert open_detector(Detector(name=detector))(photograph(name), CONFIDENCE) == []


def test_the_mesh_tells_a_face_from_what_only_looks_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "_PRESENT", 0.0)
    assert open_detector(Detector(name="mediapipe_face_full"))(photograph("galaxies"), CONFIDENCE) != []


def test_the_mesh_is_the_outline_of_the_face_and_the_eyes_lie_in_its_upper_half() -> None:
    picture = photograph("astronaut")
    (face,) = open_detector(Detector(name="mediapipe_face_mesh"))(picture, CONFIDENCE)
    (eyes,) = open_detector(Detector(name="mediapipe_face_mesh_eyes_only"))(picture, CONFIDENCE)
    outline, both = face.mask(512, 512), eyes.mask(512, 512)
    assert same_box(face.box, FACE, 0.3)
    box_area = (face.box[2] - face.box[0]) * (face.box[3] - face.box[1])
    assert 0.6 < (outline > 0).sum() / box_area < 0.95
    assert (outline[both > 0] > 0).all() and 0.01 < (both > 0).sum() / (outline > 0).sum() < 0.1
    assert cv2.connectedComponents(both)[0] == 3
    assert (eyes.box[1] + eyes.box[3]) / 2 < (face.box[1] + face.box[3]) / 2


def test_two_faces_are_two_and_differ_in_confidence() -> None:
    picture = np.concatenate([photograph("astronaut"), cv2.GaussianBlur(photograph("astronaut"), (0, 0), 5)], axis=1)
    found = open_detector(Detector(name="mediapipe_face_full"))(picture, CONFIDENCE)
    assert [one.box[0] > 512 for one in found] in ([False, True], [True, False])
    assert found[0].confidence > found[1].confidence
    assert open_detector(Detector(name="mediapipe_face_full"))(picture, 0.999) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (900, 2, 3)])
@pytest.mark.parametrize("detector", MEDIAPIPE)
def test_odd_pictures_have_no_faces(shape: tuple[int, int, int], detector: str) -> None:
    assert open_detector(Detector(name=detector))(np.zeros(shape, np.uint8), CONFIDENCE) == []


def test_a_box_without_a_shape_is_a_filled_rectangle() -> None:
    (found,) = open_detector(Detector(name="mediapipe_face_full"))(astronaut(1), CONFIDENCE)
    mask = found.mask(512, 512)
    left, top, right, bottom = (round(edge) for edge in found.box)
    assert (mask > 0).sum() == (right - left) * (bottom - top) and mask[top, left] == 255


def test_the_models_are_those_that_their_page_names() -> None:
    folder = Path(faces.__file__).parent / "mediapipe"
    listed = dict(re.findall(r"^\| `(\S+)` \|.*`([0-9a-f]{64})` \|$", (folder / "README.md").read_text("utf-8"), re.M))
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.tflite")}
