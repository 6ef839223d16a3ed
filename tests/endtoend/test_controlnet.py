"""ControlNet as programs use it: over the API, with a model on disk, through the real engine."""

from __future__ import annotations

import base64
import io
import json
import pickle
import shutil
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from tests.control_models import SMALL_SDXL, controlnet_tensors, make_controlnet, write_control
from tests.endtoend.house import House, one_sentence
from tests.endtoend.test_bad_pictures import encoded
from tests.features.controlnet import layouts
from tests.features.controlnet.test_poses import detector, pose_net
from tests.pictures.test_opening import header_only

pytestmark = pytest.mark.server

REQUEST = {"prompt": "a", "width": 64, "height": 64, "steps": 3, "seed": 7, "sampler_name": "Euler"}


@pytest.fixture(scope="module")
def title(house: House) -> str:
    """A narrow ControlNet beside the checkpoint; its title in the list."""
    file = house.server.data_dir / "models" / "ControlNet" / "control_v11p_sd15_canny.safetensors"
    file.parent.mkdir(exist_ok=True)
    write_control(file, controlnet_tensors(make_controlnet()))
    (found,) = house.get("/controlnet/model_list")["model_list"]
    assert found.startswith("control_v11p_sd15_canny [")
    return str(found)


def picture(size: tuple[int, int] = (64, 64)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    image.paste((20, 40, 200), (size[0] // 4, size[1] // 4, size[0] // 2, size[1] * 3 // 4))
    return image


def base64_of(image: Image.Image) -> str:
    return base64.b64encode(encoded(image)).decode()


def unit(title: str, **more: Any) -> dict[str, Any]:
    """As webuiapi's ControlNetUnit sends it."""
    return {
        "image": base64_of(picture()),
        "mask": None,
        "module": "canny",
        "model": title,
        "weight": 1.0,
        "resize_mode": "Crop and Resize",
        "low_vram": False,
        "processor_res": 64,
        "threshold_a": 64,
        "threshold_b": 64,
        "guidance_start": 0.0,
        "guidance_end": 1.0,
        "control_mode": 0,
        "pixel_perfect": False,
        "hr_option": "Both",
        "enabled": True,
        **more,
    }


def scripts(*units: dict[str, Any]) -> dict[str, Any]:
    return {"ControlNet": {"args": list(units)}}


def drawn(house: House, *units: dict[str, Any], path: str = "txt2img", **more: Any) -> tuple[list[np.ndarray], str]:
    scripts = {"controlnet": {"args": list(units)}} if units else {}
    answer = house.post(f"/sdapi/v1/{path}", **REQUEST, alwayson_scripts=scripts, **more)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    images = [np.asarray(Image.open(io.BytesIO(base64.b64decode(image)))) for image in body["images"]]
    return images, body["info"]


def test_a_unit_guides_the_picture_and_its_map_comes_behind(house: House, title: str) -> None:
    (plain,), _ = drawn(house)
    (guided, found), info = drawn(house, unit(title))
    assert not np.array_equal(guided, plain)
    assert found.shape == (64, 64, 3) and set(np.unique(found)) == {0, 255}
    assert "ControlNet 0" in info and "Module: canny" in info and f"Model: {title}" in info
    # An old client doesn't say that it is enabled, and calls things otherwise.
    old = {"input_image": base64_of(picture()), "module": "canny", "model": title, "processor_res": 64}
    old |= {"threshold_a": 64, "threshold_b": 64, "guidance": 1.0, "resize_mode": 1, "lowvram": True}
    (same, _), _ = drawn(house, old)
    assert np.array_equal(same, guided)
    # By another name for the same, once more: nothing of the job before is left.
    (again, _), _ = drawn(house, unit("CONTROL_V11P_SD15_CANNY"))
    assert np.array_equal(again, guided)
    (after,), _ = drawn(house)
    assert np.array_equal(after, plain)


def test_weights_windows_and_modes_act(house: House, title: str) -> None:
    (plain,), _ = drawn(house)
    (guided, _), _ = drawn(house, unit(title))
    for neutral in ({"weight": 0}, {"enabled": False}):
        images, _ = drawn(house, unit(title, **neutral))
        assert np.array_equal(images[0], plain), neutral
    for other in (
        {"weight": 0.5},
        {"guidance_end": 0.3},
        {"control_mode": "My prompt is more important"},
        {"control_mode": 2},
        {"module": "invert"},
        {"effective_region_mask": base64_of(picture())},
    ):
        (made, *_), _ = drawn(house, unit(title, **other))
        assert not np.array_equal(made, guided) and not np.array_equal(made, plain), other
    (twice, *maps), _ = drawn(house, unit(title), unit(title, module="invert", save_detected_map=False))
    assert not np.array_equal(twice, guided) and len(maps) == 1


@pytest.mark.long
def test_a_reference_needs_no_model(house: House) -> None:
    (plain,), _ = drawn(house)
    made = [drawn(house, unit("None", module=module))[0][0] for module in ("reference_only", "reference_adain")]
    assert not np.array_equal(made[0], plain) and not np.array_equal(made[0], made[1])
    off, _ = drawn(house, unit("None", module="reference_only", weight=0))
    assert np.abs(off[0].astype(int) - plain).max() <= 1


@pytest.mark.long
def test_img2img_uses_its_own_picture_and_hires_has_two_maps(house: House, title: str) -> None:
    start = [base64_of(picture())]
    (plain,), _ = drawn(house, path="img2img", init_images=start)
    (guided, found), _ = drawn(house, unit(title, image=None), path="img2img", init_images=start)
    assert not np.array_equal(guided, plain) and found.any()
    hires: dict[str, Any] = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6, "hr_upscaler": "Latent"}
    (made, high, low), _ = drawn(house, unit(title), **hires)
    assert made.shape[0] == high.shape[0] == 96 and low.shape[0] == 64
    (only_low, *maps), _ = drawn(house, unit(title, hr_option="Low res only"), **hires)
    assert len(maps) == 1 and not np.array_equal(only_low, made)


def refused(house: House, unit: dict[str, Any], *, on: str = "request") -> str:
    """The one sentence by which a unit is refused: with its request, or by the engine, which alone reads models."""
    answer = house.post("/sdapi/v1/txt2img", **REQUEST, alwayson_scripts={"ControlNet": {"args": [unit]}})
    assert answer.status_code == {"request": 422, "engine": 500}[on], answer.text
    sentence = str(answer.json()["detail"])
    assert one_sentence(sentence.replace("?", ".")), sentence
    return sentence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "control_v11p_sd15_cany"}, "control_v11p_sd15_canny"),
        ({"model": "None"}, "has no model"),
        ({"model": None}, "has no model"),
        ({"module": "cany"}, "canny"),
        ({"module": "densepose"}, "is a TorchScript program (densepose_r50_fpn_dl.torchscript), and programs are not"),
        ({"image": None}, "has no picture"),
        ({"guidance_start": 0.9, "guidance_end": 0.1}, "begin at 0.9"),
        ({"image": "no base64!"}, "read as a picture"),
        ({"processor_res": "x"}, "Resolution is 'x'"),
    ],
)
def test_what_a_unit_lacks_is_one_sentence(house: House, title: str, change: dict[str, Any], said: str) -> None:
    assert said in refused(house, unit(title, **change))
    assert len(drawn(house)[0]) == 1


def test_what_only_its_model_knows_is_one_sentence_too(house: House, title: str) -> None:
    assert "has 2 numbers" in refused(house, unit(title, advanced_weighting=[1, 2]), on="engine")
    assert len(drawn(house, unit(title))[0]) == 2


def test_what_is_for_another_family_is_refused_with_its_request(house: House, title: str) -> None:
    folder = house.server.data_dir / "models" / "ControlNet"
    other = write_control(folder / "sdxl_edges.safetensors", controlnet_tensors(make_controlnet(SMALL_SDXL)))
    low = unit("sdxl_edges", hr_option="Low res only")
    inside = {"ad_model": "mediapipe_face_full", "ad_controlnet_model": "sdxl_edges", "ad_controlnet_module": "None"}
    try:
        said = [refused(house, wrong) for wrong in (unit("sdxl_edges"), low)]
        both = {"ADetailer": {"args": [True, False, inside]}}
        answer = house.post("/sdapi/v1/txt2img", **REQUEST, alwayson_scripts=both)
        assert answer.status_code == 422, answer.text
        said.append(str(answer.json()["detail"]))
        # It acts in no pass, as there is no hires pass.
        assert len(drawn(house, unit("sdxl_edges", hr_option="High res only"))[0]) == 1
    finally:
        other.unlink()
    for sentence in said:
        assert "sdxl_edges.safetensors is a ControlNet for SDXL, and " in sentence and "of SD1: choose" in sentence
    for module in ("revision_clipvision", "revision_ignore_prompt"):
        said_of = refused(house, unit("None", module=module))
        assert said_of.startswith(f"ControlNet unit 0: {module} is for SDXL, and ") and said_of.endswith("of SD1.")
    assert len(drawn(house, unit(title))[0]) == 2


def test_a_resolution_out_of_range_is_the_preprocessors_own(house: House, title: str) -> None:
    """As the extension has it: -1, and whatever else its slider doesn't reach."""
    (wanted, found), _ = drawn(house, unit(title, processor_res=-1))
    for out in (0, 63, 2049):
        (made, again), _ = drawn(house, unit(title, processor_res=out))
        assert np.array_equal(made, wanted) and np.array_equal(again, found), out
    (_, least), _ = drawn(house, unit(title, processor_res=64))
    assert not np.array_equal(least, found)


def test_odd_pictures_and_masks_of_units(house: House, title: str) -> None:
    (plain,), _ = drawn(house)
    (guided, _), _ = drawn(house, unit(title))
    blank, full = (base64_of(Image.new("RGB", (64, 64), grey)) for grey in ("black", "white"))
    for mask, same in ((blank, plain), (full, guided)):
        (made, _), _ = drawn(house, unit(title, effective_region_mask=mask))
        assert np.array_equal(made, same)
        # Painted on the picture of a unit that is not about inpainting it says nothing.
        (made, _), _ = drawn(house, unit(title, mask=mask))
        assert np.array_equal(made, guided)
    tall = base64_of(picture((40, 100)))
    for mode in (0, 1, 2):
        images, _ = drawn(house, unit(title, image=tall, module="none", resize_mode=mode))
        assert [one.shape for one in images] == [(64, 64, 3)] * 2, mode
    huge = base64.b64encode(header_only(20_000, 20_000)).decode()
    for name in ("image", "mask", "effective_region_mask"):
        assert "is 20000x20000, more than 64 megapixels" in refused(house, unit(title, **{name: huge}))
    strip = base64_of(Image.new("RGB", (3000, 1)))
    assert "3000x1 would be enlarged to" in refused(house, unit(title, image=strip, processor_res=512), on="engine")


class _Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("exit 1",)


def program(path: Path) -> None:
    """What TorchScript saves: a program that would run when it is loaded."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("script/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("script/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("script/code/__torch__.py", "raise SystemExit")


def test_files_that_are_no_control_model_are_refused_by_name(house: House, title: str) -> None:
    folder = house.server.data_dir / "models" / "ControlNet"
    torch.save({"control_model.input_hint_block.0.weight": _Payload()}, folder / "evil.pth")
    (folder / "broken.safetensors").write_bytes(b"\xff" * 40)
    shutil.copy(folder / "evil.pth", folder / "wicked.pt")
    program(folder / "scripted.pt")
    program(folder / "densepose.torchscript")
    try:
        listed = house.get("/controlnet/model_list?update=true")["model_list"]
        assert title in listed and not any("densepose" in one for one in listed)
        for name, said in {
            "evil": "evil.pth was refused: it contains posix.system, which could run code",
            "wicked": "wicked.pt was refused: it contains posix.system, which could run code",
            "scripted": "scripted.pt was refused: it is a TorchScript program",
            "broken": "broken.safetensors is not a file of model weights",
        }.items():
            assert said in refused(house, unit(name))
        assert "No control model is called 'densepose.torchscript'" in refused(house, unit("densepose.torchscript"))
        assert len(drawn(house, unit(title))[0]) == 2
    finally:
        for file in ("evil.pth", "wicked.pt", "scripted.pt", "broken.safetensors", "densepose.torchscript"):
            (folder / file).unlink()


def test_files_of_preprocessors_that_are_no_weights_are_refused_by_name(house: House, title: str) -> None:
    folder = house.server.data_dir / "models" / "ControlNetPreprocessor"
    files = [
        folder / place for place in ("hed/ControlNetHED.pth", "zoedepth/ZoeD_M12_N.pt", "openpose/yolox_l.onnx",
                                     "openpose/dw-ll_ucoco_384.onnx")
    ]  # fmt: skip
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"norm": _Payload()}, files[0])
    program(files[1])
    for file in files[2:]:
        file.write_bytes(b"\x08\x07 broken")
    try:
        for module, said in {
            "hed": "ControlNetHED.pth was refused: it contains posix.system, which could run code",
            "depth_zoe": "ZoeD_M12_N.pt was refused: it is a TorchScript program",
            "openpose_full": "yolox_l.onnx can't be read as ONNX",
        }.items():
            assert refused(house, unit(title, module=module), on="engine").startswith(said)
            body = {"controlnet_module": module, "controlnet_input_images": [base64_of(picture())]}
            alone = house.post("/controlnet/detect", **body)
            assert alone.status_code == 500 and alone.json()["detail"].startswith(said)
    finally:
        for file in files:
            file.unlink()
    assert len(drawn(house, unit(title))[0]) == 2


def test_units_as_a_photoshop_plugin_and_webuiapi_send_them(house: House, title: str) -> None:
    """Unmodified: Auto-Photoshop-StableDiffusion-Plugin's unit, and webuiapi's of today."""
    common = {
        "module": "canny",
        "model": title,
        "weight": 1,
        "guidance_start": 0,
        "guidance_end": 1,
        "pixel_perfect": False,
    }
    numbers = {"processor_res": 64, "threshold_a": 64, "threshold_b": 64}
    photoshop = {
        **common, **numbers, "enabled": True, "input_image": base64_of(picture()), "mask": "", "lowvram": False,
        "resize_mode": "Scale to Fit (Inner Fit)", "control_mode": "Balanced",
    }  # fmt: skip
    disabled = {**photoshop, "enabled": False, "input_image": "", "model": "none", "module": "none"}
    (made, _), _ = drawn(house, photoshop, disabled, disabled)
    own = import_module("webuiapi").ControlNetUnit(image=picture(), **common, **numbers).to_dict()
    (same, _), _ = drawn(house, own)
    assert np.array_equal(made, same)


def test_a_unit_with_a_folder_is_answered_with_the_pictures_of_all_its_files(house: House, title: str) -> None:
    folder = house.server.data_dir / "inputs" / "maps"
    folder.mkdir(parents=True)
    wide = picture().transpose(Image.Transpose.ROTATE_90)
    for name, image in (("a.png", picture()), ("b.png", wide)):
        image.save(folder / name)
    batch = unit(title, image=None, input_mode="batch", batch_images=str(folder), output_dir="outputs/controlled")
    images, info = drawn(house, batch, save_images=True)
    each = [drawn(house, unit(title, image=base64_of(image)))[0] for image in (picture(), wide)]
    assert len(images) == 4 and all(map(np.array_equal, images, [*each[0], *each[1]]))
    found = json.loads(info)
    assert found["all_seeds"] == [7, 7] and len(found["infotexts"]) == 4
    made = house.server.data_dir / "outputs" / "controlled"
    assert {"a.png", "b.png"} <= {path.name for path in made.iterdir()}
    # On img2img too, and without waiting for the pictures.
    job = house.post("/v1/jobs/img2img", **REQUEST, init_images=[base64_of(picture())], alwayson_scripts=scripts(batch))
    assert job.status_code == 202 and house.ended(job.json()["id"])["state"] == "finished"
    for folder_named, said in (("/etc", "is not among the folders"), ("inputs/nowhere", "is no folder"), ("", "empty")):
        answer = house.post(
            "/sdapi/v1/txt2img", **REQUEST, alwayson_scripts=scripts({**batch, "batch_images": folder_named})
        )
        assert answer.status_code == 422 and said in answer.json()["detail"] and one_sentence(answer.json()["detail"])


def test_beside_kohyas_hrfix_a_controlnet_is_one_sentence(house: House, title: str) -> None:
    shrink = {"kohya hrfix integrated": {"args": [True]}}
    scripts = {"ControlNet": {"args": [unit(title)]}, **shrink}
    answer = house.post("/sdapi/v1/txt2img", **REQUEST, alwayson_scripts=scripts)
    assert answer.status_code == 500 and "makes smaller inside: disable one of them." in answer.text
    (alone,), _ = drawn(house)
    assert alone.shape == (64, 64, 3)


def test_the_lists_have_the_extensions_shapes(house: House, title: str) -> None:
    assert house.get("/controlnet/version") == {"version": 3}
    assert house.get("/controlnet/settings") == {"control_net_unit_count": 3}
    modules = house.get("/controlnet/module_list")
    assert modules["module_list"][0] == "none" and "canny" in modules["module_list"]
    assert modules["module_detail"]["canny"]["sliders"][0] == {
        "name": "Resolution",
        "value": 512,
        "min": 64,
        "max": 2048,
        "step": 8,
    }
    types = house.get("/controlnet/control_types")["control_types"]
    assert types["Canny"]["default_model"] == title and types["Canny"]["model_list"] == ["None", title]
    assert types["Depth"]["model_list"] == ["None"]


def test_a_map_is_made_without_a_picture(house: House) -> None:
    body = {"controlnet_module": "canny", "controlnet_input_images": [base64_of(picture())]}
    answer = house.post("/controlnet/detect", **body, controlnet_processor_res=64).json()
    (found,) = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in answer["images"]]
    wanted = cv2.Canny(np.asarray(picture()), 100, 200)
    assert answer["info"] == "Success" and np.array_equal(found[:, :, 0], wanted)
    unknown: httpx.Response = house.post("/controlnet/detect", controlnet_module="cany", controlnet_input_images=["a"])
    assert unknown.status_code == 422 and "Module not available" in unknown.text
    assert house.post("/controlnet/detect", controlnet_module="canny").json()["detail"] == "No image selected"
    without = house.post("/controlnet/detect", **body | {"controlnet_module": "inpaint"})
    assert without.json()["detail"] == "Preprocessor inpaint requires `controlnet_masks` param."


def test_masks_of_maps_that_are_made_without_a_picture_act(house: House) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (32, 0, 64, 64))
    masks = [base64_of(mask.convert("RGB"))]
    body = {"controlnet_module": "inpaint_only", "controlnet_input_images": [base64_of(picture())]}
    answer = house.post("/controlnet/detect", **body, controlnet_masks=masks).json()
    (found,) = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in answer["images"]]
    assert (found[:, :, :3] == np.asarray(picture())).all()
    assert (found[:, :32, 3] == 255).all() and (found[:, 32:, 3] == 128).all()
    two = house.post("/controlnet/detect", **body, controlnet_masks=masks * 2)
    assert two.status_code == 422 and one_sentence(two.json()["detail"]) and "1 pictures and 2 masks" in two.text
    broken = house.post("/controlnet/detect", **body, controlnet_masks=["AAAA"])
    assert broken.status_code == 422 and one_sentence(broken.json()["detail"])
    seen = house.post("/controlnet/detect", **body | {"controlnet_module": "ip-adapter-auto"})
    assert seen.status_code == 422 and "Module not supported" in seen.text


def drawn_poses(house: House, poses: list[Any]) -> httpx.Response:
    return httpx.post(f"{house.server.url}/controlnet/render_openpose_json", json=poses, timeout=120)


def test_a_pose_is_found_with_its_json(house: House) -> None:
    folder = house.server.data_dir / "models" / "ControlNetPreprocessor" / "openpose"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "yolox_l.onnx").write_bytes(detector(210))
    (folder / "dw-ll_ucoco_384.onnx").write_bytes(pose_net())
    body = {"controlnet_module": "openpose_full", "controlnet_input_images": [base64_of(picture((320, 320)))]}
    answer = house.post("/controlnet/detect", **body, controlnet_processor_res=320).json()
    (pose,) = answer["poses"]
    assert (pose["canvas_width"], pose["canvas_height"], len(pose["people"])) == (320, 320, 1)
    # The JSON says what the map shows.
    assert drawn_poses(house, [pose]).json()["images"] == answer["images"]


def test_poses_are_drawn_from_json(house: House) -> None:
    points = [0.0] * 54
    points[3:9] = [20, 30, 1, 80, 30, 1]
    pose = {"people": [{"pose_keypoints_2d": points}], "canvas_width": 100, "canvas_height": 60}
    answer = drawn_poses(house, [pose, {**pose, "people": []}])
    assert answer.status_code == 200, answer.text
    drawn_on, empty = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in answer.json()["images"]]
    assert drawn_on.shape == (60, 100, 3) and drawn_on[30, 50].tolist() == [153, 0, 0] and not empty.any()
    for bad in ([], [{**pose, "canvas_width": 0}], [{**pose, "people": [{"pose_keypoints_2d": [1]}]}]):
        answer = drawn_poses(house, bad)
        assert answer.status_code == 422 and one_sentence(answer.json()["detail"])


def brightness(image: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2HSV)[:, :, 2], dtype=np.int32)


@pytest.mark.long
def test_effects_of_preprocessors_reach_the_picture(house: House, title: str) -> None:
    """What inpaint_only, recolor and tile_colorfix do beside their maps."""
    mask = Image.new("L", (64, 64))
    mask.paste(255, (40, 0, 64, 64))
    given = np.asarray(picture(), dtype=np.int32)
    inpaint = unit(title, module="inpaint_only", mask=base64_of(mask.convert("RGB")))
    (held, _), _ = drawn(house, inpaint)
    (everywhere, _), _ = drawn(house, unit(title, module="inpaint", mask=base64_of(mask.convert("RGB"))))
    assert np.abs(held[:, :32].astype(int) - given[:, :32]).max() <= 1
    assert np.abs(everywhere[:, :32].astype(int) - given[:, :32]).mean() > 10
    lama = house.server.data_dir / "models" / "ControlNetPreprocessor" / "lama" / "ControlNetLama.pth"
    lama.parent.mkdir(parents=True)
    torch.save(layouts.weights(layouts.lama()), lama)
    (filled, seen), _ = drawn(house, {**inpaint, "module": "inpaint_only+lama"})
    assert np.abs(filled[:, :32].astype(int) - given[:, :32]).max() <= 1
    assert np.abs(filled[:, 48:].astype(int) - held[:, 48:]).max() > 0
    assert (seen[:, :32] == given[:, :32]).all() and (seen[:, 48:] != given[:, 48:]).any()
    # Beside a mask of img2img nothing is pasted: that one holds the rest.
    more = {"init_images": [base64_of(picture())], "mask": base64_of(Image.new("L", (64, 64), 255))}
    (over, _), _ = drawn(house, inpaint, path="img2img", denoising_strength=1.0, **more)
    assert np.abs(over[:, :32].astype(int) - given[:, :32]).mean() > 5
    (recoloured, found), _ = drawn(house, unit(title, module="recolor_intensity", threshold_a=1))
    assert np.abs(brightness(recoloured) - found.reshape(64, 64, -1)[:, :, 0]).max() <= 2
    colour = unit(title, module="tile_colorfix", threshold_a=3, threshold_b=-1)
    (matched, _), _ = drawn(house, colour)
    (plain, _), _ = drawn(house, {**colour, "module": "none"})
    assert not np.array_equal(matched, plain)
    (sharper, _), _ = drawn(house, {**colour, "module": "tile_colorfix+sharp", "threshold_b": 2})
    assert not np.array_equal(sharper, matched)
