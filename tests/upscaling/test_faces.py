"""Finding, turning upright, restoring and putting back faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelFileError
from modules.engine.face_restoration import face_restoration_for
from modules.engine.faces import FaceKeeper
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest
from modules.upscaling.faces import SIDE, TEMPLATE, restore_faces, restorer, upright
from modules.upscaling.model import load_restorer, load_upscaler
from modules.upscaling.retinaface import Face, RetinaFace, anchors, decoded, load_detector
from tests.upscaling.models import restorer_weights, write_upscaler


def turned(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """The template's points as they lie in a picture whose face is turned, smaller, and elsewhere."""
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    points: np.ndarray = TEMPLATE @ np.array([[cosine, sine], [-sine, cosine]]) + np.array(shift)
    return points


def photo(width: int = 300, height: int = 240) -> Image.Image:
    return Image.effect_noise((width // 6, height // 6), 60).convert("RGB").resize((width, height))


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, 3.0])
def test_a_face_is_turned_upright(angle: float) -> None:
    points = turned(angle, 0.3, (60, 40))
    matrix = upright(points)
    assert np.allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_only_the_face_changes_and_what_is_not_changed_comes_back(angle: float) -> None:
    image = photo()
    landmarks = turned(angle, 0.25, (120, 60)).astype(np.float32)
    face = Face((0, 0, 0, 0), landmarks)
    seen = []

    def blue(square: Image.Image) -> Image.Image:
        seen.append(square)
        return Image.new("RGB", (SIDE, SIDE), "blue")

    result = np.asarray(restore_faces(image, [face], blue)).astype(int)
    assert seen[0].size == (SIDE, SIDE)
    x, y = landmarks[2].round().astype(int)
    assert tuple(result[y, x]) == (0, 0, 255)
    changed = (result != np.asarray(image)).any(axis=2)
    onto_template: np.ndarray = upright(cast(Any, landmarks))[:, :2]
    corners = np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)]) @ np.linalg.inv(cast(Any, onto_template)).T
    assert 0.5 < changed.mean() * image.width * image.height / (SIDE * 0.25) ** 2 < 1.1 and len(corners) == 4
    same = np.asarray(restore_faces(image, [face], lambda square: square)).astype(int)
    assert np.abs(same - np.asarray(image)).mean() < 2
    beyond = Face((0, 0, 0, 0), landmarks + 10_000)
    assert restore_faces(image, [beyond], blue).tobytes() == image.tobytes()


def test_the_networks_numbers_become_boxes_and_points() -> None:
    size = (70, 100)
    places = anchors(size)
    assert places.shape == ((9 * 13 + 5 * 7 + 3 * 4) * 2, 4)
    assert np.allclose(places[0], (4 / 70, 4 / 100, 16 / 70, 16 / 100))
    confidences = np.zeros(len(places), np.float32)
    confidences[[20, 21, 300]] = 0.99, 0.98, 0.995
    nothing = np.zeros((len(places), 4), np.float32), np.zeros((len(places), 10), np.float32)
    faces = decoded(nothing[0], confidences, nothing[1], size)
    # The surest first; of the two anchors of one place, whose boxes overlap by a quarter, both.
    assert [round(face.box[2] - face.box[0]) for face in faces] == [64, 16, 32]
    assert np.allclose(faces[1].landmarks, [(places[20, 0] * 70, places[20, 1] * 100)] * 5)
    # Another anchor that says the same place is reported once.
    confidences[22] = 0.985
    assert len(decoded(nothing[0], confidences, nothing[1], size)) == 4
    closer = nothing[0].copy()
    closer[22, 0] = (places[20, 0] - places[22, 0]) / 0.1 / places[22, 2]
    assert len(decoded(closer, confidences, nothing[1], size)) == 3


def write_detector(path: Path) -> dict[str, torch.Tensor]:
    """The real size, with weights that find nothing anywhere."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in RetinaFace().state_dict().items()}
    weights = {name: torch.full(shape, 0.01) for name, shape in shapes.items()}
    torch.save({f"module.{name}": tensor for name, tensor in weights.items()}, path)
    return weights


def test_a_detector_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "detection_Resnet50_Final.pth"
    weights = write_detector(path)
    loaded = load_detector(path)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.named_parameters())
    offsets, confidences, landmarks = loaded(torch.zeros(1, 3, 48, 64))
    count = len(anchors((64, 48)))
    assert (offsets.shape, confidences.shape, landmarks.shape) == ((count, 4), (count,), (count, 10))
    write_upscaler(tmp_path / "other.pth")
    with pytest.raises(ModelFileError, match="not the face detector"):
        load_detector(tmp_path / "other.pth")


@pytest.mark.long
def test_gfpgan_restores_a_square_the_same_way_each_time(tmp_path: Path) -> None:
    path = tmp_path / "GFPGANv1.4.pth"
    torch.save({"params_ema": restorer_weights("GFPGAN")}, path)
    with pytest.raises(ModelFileError, match="a model for faces"):
        load_upscaler(path)
    model = load_restorer(path)
    assert model.architecture == "GFPGAN"
    square = photo(SIDE, SIDE)
    result = restorer(model, 0.5)(square)
    assert result.size == (SIDE, SIDE) and result.tobytes() == restorer(model, 0.5)(square).tobytes()


@pytest.mark.long
def test_codeformer_restores_a_square(tmp_path: Path) -> None:
    path = tmp_path / "codeformer-v0.1.0.pth"
    torch.save({"params_ema": restorer_weights("CodeFormer")}, path)
    model = load_restorer(path)
    assert model.architecture == "CodeFormer"
    square = photo(SIDE, SIDE)
    result = restorer(model, 0.0)(square)
    assert result.size == (SIDE, SIDE) and result.tobytes() != square.tobytes()


def asking(**values: object) -> ResolvedRequest:
    options = values.pop("options", {})
    request = GenerationRequest(**values)
    return ResolvedRequest(request=request, seeds=(1,), subseeds=(1,), options=options)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folders = ModelFolders(gfpgan=tmp_path / "GFPGAN", codeformer=tmp_path / "Codeformer")
    keeper = FaceKeeper(folders, lambda part: torch.device("cpu"))
    for name, place in (("GFPGAN", "models/GFPGAN"), ("CodeFormer", "models/Codeformer")):
        with pytest.raises(RequestError, match=place):
            keeper.restorer_for(name)
    assert face_restoration_for(asking(), keeper).notices == ()
    faces = face_restoration_for(asking(restore_faces=True), keeper)
    assert faces.name == "" and faces.notices[0].startswith("Faces were not restored. CodeFormer is not here")
    image = photo()
    assert faces(image) == (image, {})
    assert folders.gfpgan is not None
    folders.gfpgan.mkdir()
    (folders.gfpgan / "GFPGANv1.4.pth").touch()
    with pytest.raises(RequestError, match=r"detection_Resnet50_Final.pth into models/GFPGAN"):
        keeper.restorer_for("GFPGAN")
    write_detector(folders.gfpgan / "detection_Resnet50_Final.pth")
    assert keeper.available() == ("GFPGAN",)
    assert keeper.restorer_for("GFPGAN")(image) is None and keeper.boxes(image) == []
    by_setting = asking(options={"face_restoration": True, "face_restoration_model": "CodeFormer"})
    stand_in = face_restoration_for(by_setting, keeper)
    assert stand_in.name == "GFPGAN" and stand_in.facts == {"Face restoration": "GFPGAN"}
    assert (
        face_restoration_for(
            by_setting.model_copy(update={"request": GenerationRequest(restore_faces=False)}), keeper
        ).name
        == ""
    )


@pytest.mark.long
def test_the_device_is_left_after_each_picture_where_the_settings_say_so(tmp_path: Path) -> None:
    class Watched(FaceKeeper):
        rests = 0

        def leave_device(self) -> None:
            super().leave_device()
            self.rests += 1

    folders = ModelFolders(gfpgan=tmp_path, codeformer=tmp_path)
    (tmp_path / "GFPGANv1.4.pth").touch()
    write_detector(tmp_path / "detection_Resnet50_Final.pth")
    keeper = Watched(folders, lambda part: torch.device("cpu"))
    plain = Image.new("RGB", (64, 64), "grey")
    for unload, rests in ((False, 0), (True, 1)):
        options = {"face_restoration_model": "GFPGAN", "face_restoration_unload": unload}
        face_restoration_for(asking(restore_faces=True, options=options), keeper)(plain)
        assert keeper.rests == rests
