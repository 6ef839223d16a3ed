"""Poses: found by ONNX networks, drawn as OpenPose draws them, read and written as its JSON."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue

from modules.catalogue.model_errors import ModelFileError
from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.poses.declare import Pose, PoseError, poses_as_json, poses_of_json
from modules.features.controlnet.poses.drawing import draw_poses
from modules.features.controlnet.preprocessors.declare import find_preprocessor
from modules.features.controlnet.preprocessors.nets.dwpose import openpose_of
from modules.features.controlnet.preprocessors.run import Preprocessors, Settings
from modules.features.shared import SharedCache
from tests.features.onnx_writer import model, node

CELLS = 80 * 80 + 40 * 40 + 20 * 20


def standing() -> Pose:
    body = [(60.0, 10.0 + 5 * joint) for joint in range(18)]
    return Pose(body=tuple(body), left_hand=tuple((20.0, 4.0 * joint) for joint in range(21)))


def test_a_limb_is_an_ellipse_in_its_darkened_colour_and_a_joint_a_disc() -> None:
    body: list[tuple[float, float] | None] = [None] * 18
    body[1], body[2] = (20.0, 30.0), (80.0, 30.0)
    canvas = draw_poses([Pose(body=tuple(body))], 100, 60)
    assert canvas[30, 50].tolist() == [153, 0, 0]
    assert canvas[33, 50].tolist() == [153, 0, 0] and canvas[35, 50].tolist() == [0, 0, 0]
    assert canvas[30, 20].tolist() == [255, 85, 0] and canvas[30, 80].tolist() == [255, 170, 0]
    assert canvas[34, 20].tolist() == [255, 85, 0] and canvas[36, 20].tolist() == [0, 0, 0]


def test_hands_and_face_are_drawn_in_their_colours() -> None:
    hand: list[tuple[float, float] | None] = [None] * 21
    hand[0], hand[1] = (10.0, 10.0), (40.0, 10.0)
    canvas = draw_poses([Pose(right_hand=tuple(hand), face=((70.0, 40.0), None))], 100, 60)
    assert canvas[10, 25].tolist() == [255, 0, 0] and canvas[10, 10].tolist() == [0, 0, 255]
    assert canvas[40, 70].tolist() == [255, 255, 255] and canvas[40, 73].tolist() == [255, 255, 255]
    assert canvas[40, 75].tolist() == [0, 0, 0]


def test_the_hues_of_joints_run_around_the_circle() -> None:
    canvas = draw_poses(
        [Pose(body=tuple((20.0 * joint + 10, 10.0) if joint else None for joint in range(18)))], 400, 20
    )
    joints = [tuple(canvas[10, 20 * joint + 10].tolist()) for joint in range(1, 18)]
    assert joints[:5] == [(255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)]
    assert joints[-2:] == [(255, 0, 170), (255, 0, 85)] and len(set(joints)) == 17


def test_poses_survive_their_json() -> None:
    found, width, height = poses_of_json(poses_as_json([standing()], 100, 200))
    assert (found, width, height) == ([standing()], 100, 200)


def test_shares_of_the_canvas_and_unseen_points() -> None:
    points: list[JsonValue] = [0.5, 0.25, 1.0, *[0.0] * 51]
    body: JsonValue = {"pose_keypoints_2d": points, "face_keypoints_2d": None}
    (pose,), _, _ = poses_of_json({"people": [body], "canvas_width": 512, "canvas_height": 768})
    assert pose.body[0] == (256, 192) and pose.body[1:] == (None,) * 17 and pose.face == ()


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        {"people": [], "canvas_width": 0, "canvas_height": 10},
        {"people": [1], "canvas_width": 10, "canvas_height": 10},
        {"people": [], "canvas_width": 16384, "canvas_height": 16384},
        {"people": [{"pose_keypoints_2d": [1, 2]}], "canvas_width": 10, "canvas_height": 10},
        {"people": [{"pose_keypoints_2d": [float("nan")] * 54}], "canvas_width": 10, "canvas_height": 10},
        {"people": [{"pose_keypoints_2d": ["1"] * 54}], "canvas_width": 10, "canvas_height": 10},
    ],
)
def test_what_is_no_pose_is_one_sentence(found: JsonValue) -> None:
    with pytest.raises(PoseError, match=r"^(A|Each of a) pose"):
        poses_of_json(found)


def test_points_beyond_any_canvas_are_drawn_without_harm() -> None:
    wild = Pose(body=tuple((1e9, -1e9) if joint % 2 else (5.0, 5.0) for joint in range(18)))
    assert draw_poses([wild], 20, 20).shape == (20, 20, 3)


def test_cocos_points_become_openposes() -> None:
    places = np.stack([np.arange(133), np.arange(133) * 2], axis=1).astype(np.float32)
    sure = np.ones(133, np.float32)
    sure[9] = 0.2
    pose = openpose_of(places, sure)
    columns = [None if point is None else point[0] for point in pose.body]
    assert columns == [0, 5.5, 6, 8, 10, 5, 7, None, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert [point[0] for point in pose.left_hand if point] == list(range(91, 112))
    assert [point[0] for point in pose.right_hand if point] == list(range(112, 133))
    assert [point[0] for point in pose.face if point] == [*range(23, 91), 2, 1]


def detector(place: int, kind: int = 0) -> bytes:
    """A YOLOX by hand: whatever it is shown, one person, or thing of another of COCO's kinds, in a cell of the coarsest
    stride, 320 pixels square."""
    answer = np.zeros((1, CELLS, 85), np.float32)
    cell = 80 * 80 + 40 * 40 + place
    for which, sure in ((cell, 0.9), (cell + 1, 0.8)):
        answer[0, which, :5] = (0, 0, np.log(10), np.log(10), sure)
        answer[0, which, 5 + kind] = 0.9
    return constant({"images": (1, 3, 640, 640)}, {"output": answer})


def pose_net() -> bytes:
    """A pose by hand: the k-th of 133 points at (2 k, 3 k) / 2 of the crop."""
    across, down = np.zeros((1, 133, 576), np.float32), np.zeros((1, 133, 768), np.float32)
    for point in range(133):
        across[0, point, 2 * point], down[0, point, 3 * point] = 0.8, 0.9
    return constant({"input": (1, 3, 384, 288)}, {"simcc_x": across, "simcc_y": down})


def constant(inputs: dict[str, tuple[int, ...]], answers: dict[str, np.ndarray]) -> bytes:
    """A network that answers the same whatever it is shown; it adds nought times the mean of its input."""
    (shown,) = inputs
    weights: dict[str, np.ndarray] = {"zero": np.zeros((1, 3, 1, 1), np.float32), "one": np.array([1, 1, 1], np.int64)}
    nodes = [
        node("GlobalAveragePool", [shown], ["mean"]),
        node("Conv", ["mean", "zero"], ["nought"], kernel_shape=[1, 1]),
        node("Reshape", ["nought", "one"], ["flat"]),
    ]
    for name, values in answers.items():
        weights[f"{name}_values"] = values
        nodes.append(node("Add", ["flat", f"{name}_values"], [name]))
    return model(nodes, weights, inputs, {name: values.shape for name, values in answers.items()})


def folder_with(tmp_path: Path, found: bytes, pose: bytes) -> Preprocessors:
    (tmp_path / "openpose").mkdir(exist_ok=True)
    (tmp_path / "openpose" / "yolox_l.onnx").write_bytes(found)
    (tmp_path / "openpose" / "dw-ll_ucoco_384.onnx").write_bytes(pose)
    return Preprocessors([tmp_path], SharedCache())


def grey(height: int, width: int) -> RgbArray:
    return np.full((height, width, 3), 90, np.uint8)


def test_a_person_is_found_and_its_points_lie_in_the_pictures_pixels(tmp_path: Path) -> None:
    # The cell in row 10 and column 10 begins at (320, 320): the person's middle there, at half the size in a picture
    # of 320 x 320 pixels.
    runs = folder_with(tmp_path, detector(210), pose_net())
    posed = runs.posed(find_preprocessor("openpose_full"), grey(320, 320), Settings(resolution=320))
    assert posed is not None
    found, (pose,) = posed
    assert (found == runs.run(find_preprocessor("openpose_full"), grey(320, 320), Settings(resolution=320))).all()
    assert runs.posed(find_preprocessor("canny"), grey(320, 320), Settings()) is None
    # The box of 160 pixels grows to 200 by 267, which 288 by 384 pixels show: 0.694 for 1.
    scale = 200 / 288
    left, top = 160 - 100, 160 - 200 * 384 / 288 / 2
    assert pose.body[0] == pytest.approx((left, top), abs=0.01)
    assert pose.body[2] == pytest.approx((left + 6 * scale, top + 9 * scale), abs=0.01)
    assert pose.right_hand[-1] == pytest.approx((left + 132 * scale, top + 198 * scale), abs=0.01)


@pytest.mark.parametrize(
    "name", ["dw_openpose_full", "openpose", "openpose_hand", "openpose_face", "openpose_faceonly"]
)
def test_preprocessors_draw_their_parts(tmp_path: Path, name: str) -> None:
    runs = folder_with(tmp_path, detector(210), pose_net())
    found = runs.run(find_preprocessor(name), grey(100, 100), Settings(resolution=320))
    full = runs.run(find_preprocessor("openpose_full"), grey(100, 100), Settings(resolution=320))
    assert found.shape == (320, 320, 3) and (found > 0).any()
    assert (found == full).all() == (name == "dw_openpose_full")
    white = (found == 255).all(axis=2).any()
    assert white == ("face" in name or name == "dw_openpose_full")


def animal_net() -> bytes:
    """An animal by hand: the k-th of 17 points at (10 k, 5 k) of the crop."""
    across, down = np.zeros((1, 17, 512), np.float32), np.zeros((1, 17, 512), np.float32)
    for point in range(17):
        across[0, point, 20 * point], down[0, point, 10 * point] = 0.8, 0.9
    return constant({"input": (1, 3, 256, 256)}, {"simcc_x": across, "simcc_y": down})


@pytest.mark.parametrize(("kind", "drawn"), [(16, True), (0, False)])
def test_animals_are_drawn_and_persons_are_none(tmp_path: Path, kind: int, drawn: bool) -> None:
    animal = find_preprocessor("animal_openpose")
    runs = folder_with(tmp_path, detector(210, kind), pose_net())
    (tmp_path / "openpose" / animal.files[1].name).write_bytes(animal_net())
    found = runs.run(animal, grey(320, 320), Settings(resolution=320))
    assert (found > 0).any() == drawn
    if drawn:
        # The box of 160 pixels grows to 200, of which 256 pixels of the crop show the whole: from (60, 60) on.
        root, shoulder = (60 + 30 * 200 / 256, 60 + 15 * 200 / 256), (60 + 50 * 200 / 256, 60 + 25 * 200 / 256)
        middle = round((root[1] + shoulder[1]) / 2), round((root[0] + shoulder[0]) / 2)
        assert found[middle].tolist() in ([0, 0, 255], [50, 150, 200], [255, 255, 100], [0, 150, 0], [255, 50, 255])


def test_nobody_is_a_black_map(tmp_path: Path) -> None:
    nobody = constant({"images": (1, 3, 640, 640)}, {"output": np.zeros((1, CELLS, 85), np.float32)})
    runs = folder_with(tmp_path, nobody, pose_net())
    assert (runs.run(find_preprocessor("openpose"), grey(64, 64), Settings(resolution=64)) == 0).all()


def test_other_networks_under_these_names_are_one_sentence(tmp_path: Path) -> None:
    other = constant({"images": (1, 3, 640, 640)}, {"output": np.zeros((1, 10, 85), np.float32)})
    for found, pose, message in (
        (other, pose_net(), r"yolox_l\.onnx answers in a form"),
        (detector(210), other, r"dw-ll_ucoco_384\.onnx has 1 outputs"),
        (b"broken", pose_net(), r"yolox_l\.onnx can't be read"),
    ):
        with pytest.raises(ModelFileError, match=message):
            folder_with(tmp_path, found, pose).posed(find_preprocessor("openpose"), grey(64, 64), Settings())
