"""Plugins of paint programs: the sequences and literal bodies that they send, unmodified, with ControlNet's units.

Krita has two that speak A1111's API: Cyanic SD-Krita, and auto-sd-paint-ext in the fork of JasonS09, beside calls of an
extension of its own. Photoshop has Auto-Photoshop-StableDiffusion-Plugin, whose lists are in test_clients.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.api.conftest import b64, opened, png
from tests.control_models import controlnet_tensors, make_controlnet, write_control
from tests.endtoend.house import one_sentence
from tests.server.server import Server

pytestmark = pytest.mark.server

PICTURE = b64(png())
MAP = b64(png(seed=1))


@pytest.fixture(scope="module")
def control(server: Server) -> Iterator[str]:
    """A narrow ControlNet; its title in the list."""
    file = server.data_dir / "models" / "ControlNet" / "control_v11p_sd15_canny.safetensors"
    file.parent.mkdir(exist_ok=True)
    write_control(file, controlnet_tensors(make_controlnet()))
    answer = httpx.get(f"{server.url}/controlnet/model_list", verify=False)
    yield next(title for title in answer.json()["model_list"] if title.startswith(file.stem))
    file.unlink()


def made(api: httpx.Client, call: str, body: dict[str, Any]) -> tuple[list[np.ndarray], dict[str, Any]]:
    answer = api.post(f"/sdapi/v1/{call}", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [np.asarray(opened(image)) for image in found["images"]], json.loads(found["info"])


def cyanic(checkpoint: str) -> dict[str, Any]:
    """A picture of Cyanic SD-Krita: the plugin's own names beside those of the API."""
    return {
        "width": 64,
        "height": 64,
        "CLIP_stop_at_last_layers": 1,
        "prompt": "a red circle",
        "negative_prompt": "",
        "cfg_scale": 7.0,
        "batch_size": 1,
        "n_iter": 1,
        "seed": 7,
        "enable_hr": False,
        "refiner": "None",
        "override_settings": {
            "sd_model_checkpoint": checkpoint,
            "sd_vae": "Automatic",
            "img2img_color_correction": False,
        },
        "sampler_name": "Euler",
        "steps": 2,
        "override_settings_restore_afterwards": False,
    }


def cyanic_unit(title: str) -> dict[str, Any]:
    """It says neither that a unit is enabled nor what its resolution is, under the name that is read."""
    return {
        "module": "canny",
        "model": title,
        "weight": 1.0,
        "resize_mode": 0,
        "lowvram": False,
        "preprocessor_res": 512,
        "threshold_a": 100,
        "threshold_b": 200,
        "guidance_start": 0.0,
        "guidance_end": 1.0,
        "control_mode": 0,
        "pixel_perfect": False,
        "input_image": MAP,
    }


def test_cyanic_sd_krita(api: httpx.Client, control: str) -> None:
    assert api.get("/queue/status").json()["queue_size"] == 0
    lists = "sd-models sd-vae samplers upscalers face-restorers prompt-styles scripts loras embeddings"
    found = {name: api.get(f"/sdapi/v1/{name}").json() for name in [*lists.split(), "hypernetworks", "options"]}
    for script in ("controlnet", "soft inpainting"):
        assert script in [name.lower() for name in found["scripts"]["img2img"]]
    units = api.get("/controlnet/settings").json()["control_net_unit_count"]
    modules = api.get("/controlnet/module_list?alias_names=true").json()
    types = api.get("/controlnet/control_types").json()["control_types"]
    assert units and control in api.get("/controlnet/model_list?update=true").json()["model_list"]
    for one in types.values():
        assert one["model_list"] and one["module_list"]
    assert all({"model_free", "sliders"} <= set(one) for one in modules["module_detail"].values())
    body = cyanic(next(one["title"] for one in found["sd-models"] if one["model_name"] == "tiny"))
    (plain,), _ = made(api, "txt2img", body)
    (guided, _), info = made(
        api, "txt2img", body | {"alwayson_scripts": {"controlnet": {"args": [cyanic_unit(control)]}}}
    )
    assert not np.array_equal(plain, guided) and "ControlNet 0" in info["infotexts"][0]
    soft = {"Soft Inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}
    masking = {"mask_blur": 0, "inpainting_mask_invert": 0, "inpainting_fill": 1, "inpaint_full_res": 0}
    over = body | masking | {"inpaint_full_res_padding": 32, "denoising_strength": 0.7, "init_images": [PICTURE]}
    painted, info = made(api, "img2img", over | {"mask": MAP, "alwayson_scripts": soft})
    assert painted[0].shape == (64, 64, 3) and "Soft inpainting enabled: True" in info["infotexts"][0]
    assert {"skipped", "interrupted"} <= set(api.get("/sdapi/v1/progress").json()["state"])
    assert api.post("/sdapi/v1/interrupt", json={}).status_code == 200


@pytest.mark.long
def test_cyanics_hires_fix_and_its_adetailer(api: httpx.Client) -> None:
    body = cyanic("tiny")
    larger = {"enable_hr": True, "hr_upscaler": "Latent", "hr_second_pass_steps": 0, "denoising_strength": 0.6}
    (found,), _ = made(api, "txt2img", body | larger | {"hr_resize_y": 96, "hr_resize_x": 96})
    assert found.shape == (96, 96, 3)
    tab = {"ad_prompt": "", "ad_negative_prompt": ""}
    for model in ("mediapipe_face_short", "face_yolov8n.pt"):
        scripts = {"ADetailer": {"args": [True, {"ad_model": model, **tab}]}}
        answer = api.post("/sdapi/v1/txt2img", json=body | {"alwayson_scripts": scripts})
        # Files of detectors are the user's.
        assert answer.status_code == 200 or (model in answer.text and one_sentence(answer.json()["detail"]))


def auto_sd_paint(**more: Any) -> dict[str, Any]:
    """A picture of auto-sd-paint-ext, whose settings go along with every one."""
    return {
        "batch_size": 1,
        "width": 64,
        "height": 64,
        "tiling": False,
        "restore_faces": False,
        "override_settings": {
            "sd_model_checkpoint": "tiny.safetensors",
            "sd_vae": "None",
            "CLIP_stop_at_last_layers": 1,
            "upscaler_for_img2img": "None",
            "face_restoration_model": "None",
            "code_former_weight": 0.5,
            "img2img_fix_steps": False,
            "img2img_color_correction": True,
            "return_grid": False,
        },
        "override_settings_restore_afterwards": False,
        "alwayson_scripts": {},
        "prompt": "a red circle",
        "negative_prompt": "",
        "sampler_name": "Euler a",
        "steps": 2,
        "cfg_scale": 7.5,
        "seed": 7,
        "denoising_strength": 0.7,
        "script_name": None,
        "script_args": [],
        **more,
    }


def auto_sd_paint_units(title: str) -> dict[str, Any]:
    unit = {
        "input_image": MAP,
        "module": "canny",
        "model": title,
        "weight": 1.0,
        "lowvram": False,
        "processor_res": 64,
        "threshold_a": 100.0,
        "threshold_b": 200.0,
        "guidance_start": 0.0,
        "guidance_end": 1.0,
        "control_mode": "Balanced",
    }
    return {"controlnet": {"args": [unit, {"enabled": False}, {"enabled": False}]}}


def test_auto_sd_paint(api: httpx.Client, control: str) -> None:
    hires = {"enable_hr": False, "hr_upscaler": "Lanczos", "hr_resize_x": 64, "hr_resize_y": 64}
    (plain,), _ = made(api, "txt2img", auto_sd_paint(**hires))
    (guided, _), _ = made(api, "txt2img", auto_sd_paint(**hires, alwayson_scripts=auto_sd_paint_units(control)))
    assert not np.array_equal(plain, guided)
    (changed,), _ = made(api, "img2img", auto_sd_paint(init_images=["data:image/png;base64," + PICTURE]))
    inpainting = {"inpainting_mask_invert": 0, "inpainting_fill": 1, "mask_blur": 0, "inpaint_full_res": False}
    over = auto_sd_paint(init_images=[PICTURE], mask=MAP, alwayson_scripts=auto_sd_paint_units(control), **inpainting)
    (painted, _), _ = made(api, "img2img", over)
    assert changed.shape == painted.shape == (64, 64, 3)
    preview = {"controlnet_module": "canny", "controlnet_input_images": [MAP], "controlnet_processor_res": 64}
    numbers = {"controlnet_threshold_a": 100.0, "controlnet_threshold_b": 200.0}
    assert api.post("/controlnet/detect", json=preview | numbers).json()["info"] == "Success"


def tiled_diffusion(upscaler: str, scale: float) -> dict[str, Any]:
    """As auto-sd-paint-ext sends it, whose last argument is null."""
    tiles = ["MultiDiffusion", False, True, 64, 64, 16, 16, 8, 4]
    inversion = [False, 10, 1.0, 1.0, 64]
    return {"Tiled Diffusion": {"args": [True, *tiles, upscaler, scale, *inversion, *[False] * 4, None]}}


def test_auto_sd_paint_enlarges_by_tiled_diffusion(api: httpx.Client) -> None:
    over = auto_sd_paint(init_images=[PICTURE], alwayson_scripts=tiled_diffusion("Lanczos", 2))
    (found,), info = made(api, "img2img", over)
    assert found.shape == (128, 128, 3) and "Tiled Diffusion" in info["infotexts"][0]
    # On txt2img it names its upscaler too, and hires. fix enlarges.
    (plain,), _ = made(api, "txt2img", auto_sd_paint(alwayson_scripts=tiled_diffusion("Lanczos", 2)))
    assert plain.shape == (64, 64, 3)
    for scripts, said in ((tiled_diffusion("nowhere", 2), "nowhere"), (tiled_diffusion("Lanczos", 20), "20 times")):
        answer = api.post("/sdapi/v1/img2img", json={**over, "alwayson_scripts": scripts})
        assert answer.status_code == 422 and said in answer.text and one_sentence(answer.json()["detail"])


def test_a_unit_of_the_photoshop_plugins_first_days(api: httpx.Client, control: str) -> None:
    """With nulls for what it doesn't know, and without saying that it is enabled."""
    unit = {
        "input_image": MAP,
        "mask": "",
        "module": "canny",
        "model": control,
        "weight": 1,
        **dict.fromkeys(("resize_mode", "lowvram", "processor_res", "threshold_a", "threshold_b", "guessmode")),
        "guidance_start": 0,
        "guidance_end": 1,
    }
    body = {"prompt": "a", "steps": 2, "width": 64, "height": 64, "seed": 7}
    (plain,), _ = made(api, "txt2img", body)
    (guided, _), _ = made(api, "txt2img", body | {"alwayson_scripts": {"controlnet": {"args": [unit]}}})
    assert not np.array_equal(plain, guided)


def test_open_webui_with_parameters_that_were_typed(api: httpx.Client) -> None:
    """It sends what its administrator typed as parameters beside its own fields."""
    body = {"prompt": "a red circle", "batch_size": 1, "width": 64, "height": 64, "steps": 2}
    typed = {"cfg_scale": 7.0, "sampler_name": "Euler", "scheduler": "Karras", "seed": 7}
    (found,), info = made(api, "txt2img", body | typed)
    assert found.shape == (64, 64, 3) and "Schedule type: Karras" in info["infotexts"][0]
