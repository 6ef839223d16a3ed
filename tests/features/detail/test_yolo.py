"""YOLO files in ONNX: what they see, what is made of their answers, and files that are none."""

from pathlib import Path

import numpy as np
import pytest

from modules.features.controlnet.arrays import RgbArray
from modules.features.detail.detectors.detect import Detect, open_detector
from modules.features.detail.detectors.detection import DetectorError
from modules.features.detail.detectors.plan import Detector
from modules.features.detail.detectors.yolo import decoded, letterboxed
from tests.features.onnx_writer import model, node

SIDE = 64
CELLS = SIDE // 8
NAMES = "{0: 'face', 1: 'hand'}"


def red_finder(*, masks: bool = False) -> bytes:
    """A YOLO by hand: class 0 where a cell of 8 pixels is red, class 1 where it is green; boxes of 16 pixels.

    Its prototype is the picture's red minus a half, at a quarter of the size, and each place mixes in 1 of it.
    """
    channels = 6 + masks
    kernel = np.zeros((channels, 3, 8, 8), np.float32)
    kernel[4, 0] = kernel[5, 1] = 1 / 64
    rows, columns = np.mgrid[:CELLS, :CELLS] * 8 + 4
    base = np.zeros((1, channels, CELLS * CELLS), np.float32)
    base[0, 0], base[0, 1], base[0, 2:4] = columns.ravel(), rows.ravel(), 16
    base[0, 6:] = 1
    nodes = [
        node("Conv", ["images", "kernel"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        node("Reshape", ["cells", "shape"], ["flat"]),
        node("Add", ["flat", "base"], ["output0"]),
    ]
    weights: dict[str, np.ndarray] = {"kernel": kernel, "shape": np.array([1, channels, -1], np.int64), "base": base}
    outputs: dict[str, tuple[int, ...]] = {"output0": (1, channels, CELLS * CELLS)}
    if masks:
        quarter = np.zeros((1, 3, 4, 4), np.float32)
        quarter[0, 0] = 1 / 16
        weights |= {"quarter": quarter, "half": np.array([-0.5], np.float32)}
        nodes.append(node("Conv", ["images", "quarter", "half"], ["output1"], kernel_shape=[4, 4], strides=[4, 4]))
        outputs["output1"] = (1, 1, SIDE // 4, SIDE // 4)
    metadata = {"names": NAMES, "imgsz": f"[{SIDE}, {SIDE}]", "description": "by hand"}
    return model(nodes, weights, {"images": (1, 3, SIDE, SIDE)}, outputs, metadata)


def two_patches() -> RgbArray:
    """128 x 64 pixels: red at (32..48, 16..32), green at (96..112, 32..48)."""
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[16:32, 32:48, 0] = 255
    picture[32:48, 96:112, 1] = 200
    return picture


def load(tmp_path: Path, content: bytes, name: str = "face.onnx") -> Detect:
    path = tmp_path / name
    path.write_bytes(content)
    return open_detector(Detector(name=name, path=path))


def test_an_exported_file_finds_its_classes_in_the_pictures_pixels(tmp_path: Path) -> None:
    found = load(tmp_path, red_finder())(two_patches(), 0.5)
    assert [one.label for one in found] == ["face", "hand"]
    # 128 pixels become 64, 16 grey rows above: each cell is 16 pixels, the box 32.
    assert found[0].box == pytest.approx((24, 8, 56, 40)) and found[0].confidence == pytest.approx(1, abs=0.01)
    assert found[1].box == pytest.approx((88, 24, 120, 56)) and found[1].confidence == pytest.approx(
        200 / 255, abs=0.01
    )
    assert [one.label for one in load(tmp_path, red_finder())(two_patches(), 0.9)] == ["face"]


def test_masks_follow_the_prototypes_within_the_box(tmp_path: Path) -> None:
    face = load(tmp_path, red_finder(masks=True))(two_patches(), 0.9)[0]
    mask = face.mask(128, 64)
    assert mask.shape == (64, 128) and set(np.unique(mask)) == {0, 255}
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max()) == pytest.approx((16, 31), abs=3)
    assert (columns.min(), columns.max()) == pytest.approx((32, 47), abs=3)


def test_overlapping_boxes_of_one_class_are_one_and_of_two_classes_two() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    seen = letterboxed(picture, 64)
    # Middle, size, scores of two classes; the third overlaps the first by 0.68, the fourth is of the other class.
    output = np.array([
        [32, 32, 20, 20, 0.9, 0.1], [33, 32, 20, 20, 0.8, 0.1], [36, 32, 20, 20, 0.7, 0.1], [32, 32, 20, 20, 0.1, 0.6],
    ], np.float32).T  # fmt: skip
    found = decoded(output, None, seen, picture, {0: "a"}, 0.3)
    assert [(one.label, round(one.confidence, 1)) for one in found] == [("a", 0.9), ("a", 0.7), ("1", 0.6)]


@pytest.mark.parametrize(("shape", "inner"), [((64, 128), (0, 160, 640, 320)), ((1000, 500), (160, 0, 320, 640))])
def test_letterboxes_are_centred_on_grey(shape: tuple[int, int], inner: tuple[int, int, int, int]) -> None:
    seen = letterboxed(np.full((*shape, 3), 255, np.uint8), 640)
    assert (seen.left, seen.top, seen.wide, seen.high) == inner
    assert seen.values.shape == (1, 3, 640, 640)
    assert seen.values[0, 0, 320, 320] == 1
    assert seen.values.min() == pytest.approx(114 / 255)


def test_boxes_end_at_the_pictures_edges(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:8, :8, 0] = 255
    (found,) = load(tmp_path, red_finder())(picture, 0.5)
    assert found.box == (0, 0, 12, 12)
    assert (found.mask(64, 64) > 0).sum() == 144


@pytest.mark.parametrize("content", [b"", b"no model", red_finder()[:300], red_finder()[:-40], bytes(range(256)) * 4])
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DetectorError, match=r"^broken\.onnx "):
        load(tmp_path, content, "broken.onnx")(two_patches(), 0.3)


def test_a_file_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    nodes = [node("Relu", ["images"], ["output0"])]
    content = model(nodes, {}, {"images": (1, 3, SIDE, SIDE)}, {"output0": (1, 3, SIDE, SIDE)}, {"imgsz": "64"})
    with pytest.raises(DetectorError, match=r"other\.onnx answers in a form"):
        load(tmp_path, content, "other.onnx")(two_patches(), 0.3)


def test_metadata_that_is_no_dictionary_gives_numbers_as_names(tmp_path: Path) -> None:
    content = red_finder().replace(NAMES.encode(), b"__import__('os')".ljust(len(NAMES)))
    (found, *_) = load(tmp_path, content)(two_patches(), 0.5)
    assert found.label == "0"


def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"gone\.onnx is gone"):
        open_detector(Detector(name="gone.onnx", path=tmp_path / "gone.onnx"))
