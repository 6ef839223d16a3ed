"""YOLO files of PyTorch: read without their package, the same answers, nothing of them executed."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from modules.catalogue.model_errors import ModelFileError, UnsafePickleError
from modules.features.controlnet.arrays import RgbArray
from modules.features.detail.detectors.detect import open_detector
from modules.features.detail.detectors.detection import DetectorError
from modules.features.detail.detectors.plan import Detector
from modules.features.detail.detectors.yolo import decoded, letterboxed
from modules.features.detail.detectors.yolo_file import read_yolo
from modules.features.detail.detectors.yolo_net import YoloDetector, YoloNet
from tests.features.detail import yolo_modules as modules


def saved(net: modules.DetectionModel, path: Path, monkeypatch: pytest.MonkeyPatch, **more: object) -> Path:
    """As training saves it: the model in half precision beside its state."""
    with monkeypatch.context() as patch:
        modules.pretend_package(patch)
        torch.save({"epoch": -1, "model": net, "ema": None, "train_args": {"imgsz": 640}, **more}, path)
    return path


def picture() -> RgbArray:
    shapes = np.zeros((96, 128, 3), np.uint8)
    cv2.circle(shapes, (60, 40), 25, (220, 180, 150), -1)
    return shapes + np.random.RandomState(2).randint(0, 30, shapes.shape, dtype=np.uint8)


@pytest.mark.parametrize(
    "make",
    [modules.version_8, lambda: modules.version_8(modules.Segment), modules.versions_9_and_11],
    ids=["8", "8-seg", "9 and 11"],
)
@torch.inference_mode()
def test_the_net_of_a_file_answers_as_the_one_that_was_saved(
    make: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(make)
    net = modules.randomised(make())
    nodes, names = read_yolo(saved(net, tmp_path / "face.pt", monkeypatch))
    assert names == {0: "face", 1: "hand"}
    x = torch.from_numpy(letterboxed(picture(), 128).values)
    output, prototypes = YoloNet(nodes).eval()(x)
    maps, head = net(x), net.model[-1]
    assert isinstance(head, modules.Detect)
    assert output.shape[1] == 16 * 16 + 8 * 8 + 4 * 4
    assert torch.allclose(output, head.decoded(maps), atol=1e-4)
    assert (prototypes is not None) == isinstance(head, modules.Segment)
    if isinstance(head, modules.Segment) and prototypes is not None:
        assert torch.allclose(prototypes, head.proto(maps[0])[0], atol=1e-4)


def test_a_detector_in_half_precision_finds_boxes_names_and_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = modules.randomised(modules.version_8(modules.Segment)).half()
    path = saved(net, tmp_path / "person-seg.pt", monkeypatch)
    found = open_detector(Detector(name=path.name, path=path))(picture(), 0.3)
    assert found and {one.label for one in found} <= {"face", "hand"}
    assert [one.confidence for one in found] == sorted((one.confidence for one in found), reverse=True)
    for one in found:
        left, top, right, bottom = one.box
        assert 0 <= left < right <= 128 and 0 <= top < bottom <= 96
        mask = one.mask(128, 96)
        assert (
            mask.shape == (96, 128) and mask.sum() == mask[round(top) : round(bottom), round(left) : round(right)].sum()
        )
    assert open_detector(Detector(name=path.name, path=path))(picture(), 1.0) == []


def test_methods_that_were_saved_with_a_module_are_stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = modules.randomised(modules.version_8())
    layer = net.model[2]
    assert isinstance(layer, modules.C2f)
    vars(layer)["forward"] = layer.forward_split  # As exporting leaves it.
    path = saved(net, tmp_path / "face.pt", monkeypatch)
    assert b"getattr" in path.read_bytes()
    assert len(read_yolo(path)[0]) == 14


class _Payload:
    def __init__(self, function: object, *arguments: object) -> None:
        self.recipe = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.recipe


def test_malicious_files_are_refused_by_name_and_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    net = modules.randomised(modules.version_8())
    for payload in (_Payload(os.system, f"touch {mark}"), _Payload(eval, f"open({str(mark)!r}, 'w')")):
        path = saved(net, tmp_path / "evil_face.pt", monkeypatch, extra=payload)
        with pytest.raises(UnsafePickleError, match=r"^evil_face\.pt was refused: it contains (posix|nt|builtins)\."):
            YoloDetector(path)
    assert not mark.exists()


def test_getattr_reaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = _Payload(getattr, _Payload(getattr, {}, "__class__"), "__base__")
    path = saved(modules.randomised(modules.version_8()), tmp_path / "face.pt", monkeypatch, extra=chain)
    assert len(read_yolo(path)[0]) == 14


def test_files_that_are_no_yolo_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(DetectorError, match=r"^other\.pt holds no YOLO of a known form"):
        YoloDetector(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match=r"other\.pt"):
        YoloDetector(path)
    net = modules.version_8()
    vars(net.model[6])["type"] = "ultralytics.nn.modules.WorldThing"
    with pytest.raises(DetectorError, match=r"layers of the kind WorldThing"):
        YoloDetector(saved(net, path, monkeypatch))
    net = modules.version_8()
    del net.model[2].cv2
    with pytest.raises(DetectorError, match=r"layers don't fit together"):
        YoloDetector(saved(net, path, monkeypatch))


def test_an_answer_without_classes_is_refused() -> None:
    seen = letterboxed(picture(), 64)
    with pytest.raises(DetectorError, match="in a form"):
        decoded(np.zeros((4, 10), np.float32), None, seen, picture(), {}, 0.3)
