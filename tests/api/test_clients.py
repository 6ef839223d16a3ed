"""The literal bodies and sequences that known clients send, and what each of them needs in the answer."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.amounts import some
from tests.api.conftest import SMALL, b64, made, opened, png

pytestmark = pytest.mark.server

# A1111's own API tests send every old field.
OLD_TXT2IMG = {
    "enable_hr": False,
    "denoising_strength": 0,
    "firstphase_width": 0,
    "firstphase_height": 0,
    "prompt": "example prompt",
    "styles": [],
    "seed": -1,
    "subseed": -1,
    "subseed_strength": 0,
    "seed_resize_from_h": -1,
    "seed_resize_from_w": -1,
    "batch_size": 1,
    "n_iter": 1,
    "steps": 3,
    "cfg_scale": 7,
    "width": 64,
    "height": 64,
    "restore_faces": False,
    "tiling": False,
    "negative_prompt": "",
    "eta": 0,
    "s_churn": 0,
    "s_tmax": 0,
    "s_tmin": 0,
    "s_noise": 1,
    "sampler_index": "Euler a",
}
OLD_IMG2IMG = {
    **{key: value for key, value in OLD_TXT2IMG.items() if key not in ("enable_hr", "firstphase_width")},
    "resize_mode": 0,
    "denoising_strength": 0.75,
    "mask": None,
    "mask_blur": 4,
    "inpainting_fill": 0,
    "inpaint_full_res": False,
    "inpaint_full_res_padding": 0,
    "inpainting_mask_invert": False,
    "sampler_index": "Euler a",
    "override_settings": {},
    "include_init_images": False,
}


@pytest.mark.parametrize(
    "change",
    some(
        [
            {},
            {"negative_prompt": "example negative prompt"},
            {"prompt": "((emphasis)), (emphasis1:1.1), [to:1], [from::2], [from:to:0.3], [alt|alt1]"},
            {"enable_hr": True, "denoising_strength": 0.7},
            {"tiling": True},
            {"restore_faces": True},
            {"sampler_index": "PLMS"},
            {"sampler_index": "DDIM"},
            {"sampler_index": "UniPC"},
            {"n_iter": 2},
            {"batch_size": 2},
        ],
        4,
    ),
    ids=str,
)
def test_the_bodies_of_a1111s_own_tests(api: httpx.Client, change: dict[str, Any]) -> None:
    answer = api.post("/sdapi/v1/txt2img", json=OLD_TXT2IMG | change)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == {"images", "parameters", "info"}
    assert set(OLD_TXT2IMG) <= set(found["parameters"])
    assert float(answer.headers["X-Process-Time"]) > 0


def test_the_img2img_bodies_of_a1111s_own_tests(api: httpx.Client) -> None:
    body = OLD_IMG2IMG | {"init_images": [b64(png())]}
    for change in ({}, {"mask": b64(png())}, {"mask": b64(png()), "inpainting_mask_invert": True}):
        answer = api.post("/sdapi/v1/img2img", json=body | change)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["parameters"]["init_images"], answer.json()["parameters"]["mask"]) == (None, None)
    echoed = api.post("/sdapi/v1/img2img", json=body | {"include_init_images": True}).json()["parameters"]
    assert echoed["init_images"] == body["init_images"]


def test_the_sd_upscale_of_a1111s_own_tests(api: httpx.Client) -> None:
    script = {"script_name": "sd upscale", "script_args": ["", 8, "Lanczos", 2.0]}
    answer = api.post("/sdapi/v1/img2img", json=OLD_IMG2IMG | {"init_images": [b64(png())]} | script)
    assert answer.status_code == 200, answer.text
    assert opened(answer.json()["images"][0]).size == (128, 128)


def test_what_a1111s_own_tests_read_and_write(api: httpx.Client) -> None:
    before = api.get("/sdapi/v1/options").json()["send_seed"]
    assert api.post("/sdapi/v1/options", json={"send_seed": not before}).status_code == 200
    assert api.get("/sdapi/v1/options").json()["send_seed"] is not before
    assert api.post("/sdapi/v1/options", json={"send_seed": before}).status_code == 200
    names = (
        "cmd-flags samplers upscalers sd-models hypernetworks face-restorers realesrgan-models prompt-styles embeddings"
    )
    for name in names.split():
        assert api.get(f"/sdapi/v1/{name}").status_code == 200, name
    upscaling = {
        "resize_mode": 0,
        "show_extras_results": True,
        "gfpgan_visibility": 0,
        "codeformer_visibility": 0,
        "codeformer_weight": 0,
        "upscaling_resize": 2,
        "upscaling_resize_w": 128,
        "upscaling_resize_h": 128,
        "upscaling_crop": True,
        "upscaler_1": "Lanczos",
        "upscaler_2": "None",
        "extras_upscaler_2_visibility": 0,
        "image": b64(png()),
    }
    answer = api.post("/sdapi/v1/extra-single-image", json=upscaling)
    assert opened(answer.json()["image"]).size == (128, 128)
    assert set(api.post("/sdapi/v1/png-info", json={"image": b64(png())}).json()) == {"info", "items", "parameters"}


def test_info_has_every_key_of_a1111(api: httpx.Client) -> None:
    info = json.loads(made(api, restore_faces=True, enable_hr=True, hr_scale=1.5, denoising_strength=0.6)["info"])
    wanted = (
        "prompt all_prompts negative_prompt all_negative_prompts seed all_seeds subseed all_subseeds subseed_strength "
        "width height sampler_name cfg_scale steps batch_size restore_faces face_restoration_model sd_model_name "
        "sd_model_hash sd_vae_name sd_vae_hash seed_resize_from_w seed_resize_from_h denoising_strength "
        "extra_generation_params index_of_first_image infotexts styles job_timestamp clip_skip "
        "is_using_inpainting_conditioning version"
    )
    assert set(wanted.split()) <= set(info)
    assert info["extra_generation_params"]["Hires upscale"] == "1.5"
    assert "Steps" not in info["extra_generation_params"]
    assert any("Faces" in comment for comment in info["comments"])


def test_sillytavern(api: httpx.Client) -> None:
    assert api.get("/sdapi/v1/options").json()["sd_model_checkpoint"]
    for route in ("samplers", "schedulers", "sd-models", "sd-vae", "upscalers", "latent-upscale-modes"):
        assert api.get(f"/sdapi/v1/{route}").status_code == 200
    assert api.get("/sdapi/v1/upscalers").json()[0]["name"] == "None"
    title = next(item["title"] for item in api.get("/sdapi/v1/sd-models").json() if item["model_name"] == "tiny")
    assert api.post("/sdapi/v1/options", json={"sd_model_checkpoint": title}).status_code == 200
    assert {"progress", "state"} <= set(api.get("/sdapi/v1/progress").json())
    body = {
        "url": "http://127.0.0.1:7860",
        "auth": "",
        "prompt": "a cat",
        "negative_prompt": "bad",
        "sampler_name": "Euler a",
        "scheduler": "karras",
        "steps": 2,
        "cfg_scale": 7,
        "width": 64,
        "height": 64,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 1,
        "hr_additional_steps": 0,
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "seed": -1,
        "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": "Automatic", "forge_inference_memory": 1024},
        "override_settings_restore_afterwards": True,
        "clip_skip": 1,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
    }
    answer = api.post("/sdapi/v1/txt2img", json=body)
    assert opened(answer.json()["images"][0]).size == (64, 64)
    assert "Schedule type: Karras" in json.loads(answer.json()["info"])["infotexts"][0]
    assert api.post("/sdapi/v1/interrupt").status_code == 200


def test_open_webui(api: httpx.Client) -> None:
    empty = {"authorization": ""}
    options = api.get("/sdapi/v1/options", headers=empty).json()
    models = api.get("/sdapi/v1/sd-models", headers=empty).json()
    assert all(item["title"] and item["model_name"] for item in models)
    options["sd_model_checkpoint"] = next(item["title"] for item in models if item["model_name"] == "other")
    assert api.post("/sdapi/v1/options", json=options, headers=empty).status_code == 200
    body = {"prompt": "a cat", "batch_size": 1, "width": 64, "height": 64, "steps": 2, "negative_prompt": ""}
    answer = api.post("/sdapi/v1/txt2img", json=body, headers=empty).json()
    assert json.loads(answer["info"])["sd_model_name"] == "other"
    opened(answer["images"][0])
    api.post("/sdapi/v1/options", json={"sd_model_checkpoint": "tiny"})


def test_auto_photoshop(api: httpx.Client) -> None:
    for route in ("options", "samplers", "sd-models", "upscalers", "loras", "embeddings", "scripts"):
        assert api.get(f"/sdapi/v1/{route}").status_code == 200
    body = {
        **SMALL,
        "init_images": ["data:image/png;base64," + b64(png())],
        "mask": "data:image/png;base64," + b64(png()),
        "seed": "-1",
        "batch_size": 1,
        "cfg_scale": "7",
        "mask_blur": 8,
        "mask_expansion": 0,
        "inpaint_full_res": True,
        "inpaint_full_res_padding": 24,
        "inpainting_fill": 1,
        "inpainting_mask_invert": False,
        "image_cfg_scale": 1.5,
        "script_name": None,
        "script_args": [],
        "alwayson_scripts": {},
        "hr_sampler_name": None,
        "uniqueDocumentId": "x",
        "sampler_name": "DPM++ 2M Karras",
    }
    assert opened(made(api, "img2img", **body)["images"][0]).size == (64, 64)
    for path in ("model_list", "module_list", "version", "settings", "control_types"):
        assert api.get(f"/controlnet/{path}").status_code == 200
    assert api.post("/controlnet/detect", json={}).json()["detail"] == "No image selected"


def test_a_bot_of_2022(api: httpx.Client) -> None:
    answer = api.post("/sdapi/v1/txt2img", json={"prompt": "a", "steps": 2, "width": 64, "height": 64.0})
    assert json.loads(answer.json()["info"])["sampler_name"] == "Euler"
    found = api.post("/sdapi/v1/png-info", json={"image": "data:image/png;base64," + answer.json()["images"][0]}).json()
    assert found["info"].startswith("a\nSteps: 2, Sampler: Euler")


def test_a_body_that_does_not_say_that_it_is_json(server: Any) -> None:
    body = json.dumps(SMALL).encode()
    status, _, answer = server.request("POST", "/sdapi/v1/txt2img", None, body)
    assert status == 200, answer[:200]
    assert server.request("POST", "/sdapi/v1/txt2img", {"Origin": "http://evil.example"}, body)[0] == 403


def test_a_request_value_applies_only_where_it_is_given(api: httpx.Client) -> None:
    def infotext(**fields: Any) -> Any:
        return json.loads(made(api, **fields)["info"])["infotexts"][0]

    assert "Eta" not in infotext(sampler_name="Euler a")
    assert "Eta: 0.5" in infotext(sampler_name="Euler a", eta=0.5)
    assert "Sigma churn" not in infotext()
    assert "Sigma churn: 0.5" in infotext(s_churn=0.5)
    assert "Tiling: True" in infotext(tiling=True)
    assert "Tiling" not in infotext(tiling=None)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"refiner_checkpoint": "nowhere", "refiner_switch_at": 0.5}, "nowhere"),
        ({"enable_hr": True, "hr_upscaler": "nowhere"}, "nowhere"),
        ({"firstpass_image": "abc"}, "firstpass_image is not valid base64"),
        ({"script_name": "dynamic thresholding", "script_args": []}, "not found"),
        ({"alwayson_scripts": {"controlnet": {"args": [{"enabled": True}]}}}, "ControlNet unit 0"),
    ],
    ids=str,
)
def test_what_is_not_here_is_a_clear_refusal(api: httpx.Client, fields: dict[str, Any], word: str) -> None:
    answer = api.post("/sdapi/v1/txt2img", json=SMALL | fields)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "detail", "body", "errors"}
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("quicksettings-hint", list),
        ("profile-startup", dict),
        ("sysinfo", dict),
        ("sysinfo-download", dict),
        ("ping", dict),
        ("pending-tasks", dict),
    ],
)
def test_what_a1111s_page_asks_for(api: httpx.Client, path: str, kind: Any) -> None:
    answer = api.get(f"/internal/{path}")
    assert answer.status_code == 200
    assert isinstance(answer.json(), kind)


def test_model_pictures_are_named_and_never_paths(api: httpx.Client, server: Any) -> None:
    folder = server.data_dir / "models" / "Stable-diffusion"
    (folder / "tiny.png").write_bytes(png())
    (server.data_dir / "secret.png").write_bytes(png())
    ask = "/sd_extra_networks/thumb"
    assert api.get(ask, params={"filename": str(folder / "tiny.png")}).content == png()
    for path in (
        server.data_dir / "secret.png",
        folder / ".." / ".." / "secret.png",
        folder / "tiny.safetensors",
        "/etc/passwd",
        "C:\\secret.png",
        "\\\\host\\share\\a.png",
        "a\0.png",
        "",
    ):
        answer = api.get(ask, params={"filename": str(path)})
        assert answer.status_code == 404, path
        assert answer.json()["detail"]
    assert api.get("/sd_extra_networks/metadata", params={"page": "checkpoints", "item": "tiny"}).status_code == 200
    assert api.get("/sd_extra_networks/metadata", params={"page": "lora", "item": "../x"}).json() == {}
    assert api.get("/sd_extra_networks/cover-images", params={"page": "lora", "item": "x"}).status_code == 404
    assert api.get("/sd_extra_networks/get-single-card", params={"page": "lora"}).status_code == 200


def test_the_docs_come_from_here(api: httpx.Client) -> None:
    for page, assets in (("/docs", ("swagger-ui-bundle.js", "swagger-ui.css")), ("/redoc", ("redoc.standalone.js",))):
        html = api.get(page).text
        assert "https://" not in html.replace("https://github.com", "")
        for asset in assets:
            assert f'"/docs/assets/{asset}"' in html
            assert len(api.get(f"/docs/assets/{asset}").content) > 100_000
    assert api.get("/docs/assets/core.py").status_code == 404
    described = api.get("/openapi.json").json()
    assert "/sdapi/v1/txt2img" in described["paths"]
    assert "/v1/jobs/{job_id}/events" in described["paths"]
    assert "/internal/page" not in described["paths"]


def test_unknown_routes_are_said_so_as_json(api: httpx.Client) -> None:
    answer = api.get("/sdapi/v1/artists")
    assert answer.status_code == 404
    assert answer.json()["detail"]
