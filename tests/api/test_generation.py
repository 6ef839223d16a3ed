"""txt2img and img2img as A1111's clients call them."""

from __future__ import annotations

import base64
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.api.conftest import SMALL, b64, made, opened, png

pytestmark = pytest.mark.server


def test_a_picture_with_its_parameters_inside(api: Any) -> None:
    answer = made(api)
    image = opened(answer["images"][0])
    info = json.loads(answer["info"])
    assert image.size == (64, 64)
    assert image.info["parameters"] == info["infotexts"][0]
    assert "Steps: 2, Sampler: Euler, " in info["infotexts"][0]
    assert (info["seed"], info["all_seeds"]) == (7, [7])
    assert answer["parameters"]["prompt"] == "a red circle"


def test_the_api_has_its_own_defaults(api: Any) -> None:
    parameters = made(api)["parameters"]
    assert (parameters["cfg_scale"], parameters["sampler_index"], parameters["denoising_strength"]) == (
        7.0,
        "Euler",
        0.75,
    )
    schema = api.get("/openapi.json").json()["components"]["schemas"]
    assert schema["StableDiffusionTxt2ImgRequest"]["properties"]["steps"]["default"] == 50
    assert schema["StableDiffusionImg2ImgRequest"]["properties"]["inpainting_fill"]["default"] == 0
    assert schema["StableDiffusionImg2ImgRequest"]["properties"]["inpaint_full_res"]["default"] is True


def test_a_batch_comes_with_its_grid_first(api: Any) -> None:
    answer = made(api, batch_size=2, n_iter=2, save_images=True)
    info = json.loads(answer["info"])
    assert len(answer["images"]) == 5
    assert info["index_of_first_image"] == 1
    assert info["all_seeds"] == [7, 8, 9, 10]
    assert opened(answer["images"][0]).size == (128, 128)
    assert len(info["infotexts"]) == 5


def test_the_same_request_gives_the_same_bytes(api: Any) -> None:
    assert made(api)["images"] == made(api)["images"]


@pytest.mark.parametrize(
    ("fields", "sampler", "schedule"),
    [
        ({"sampler_name": "DPM++ 2M Karras"}, "DPM++ 2M", "Karras"),
        ({"sampler_name": "k_euler_a"}, "Euler a", None),
        ({"sampler_index": "Euler a"}, "Euler a", None),
        ({"sampler_name": "Euler", "scheduler": "Karras"}, "Euler", "Karras"),
        ({"sampler_name": "no such sampler"}, "DPM++ 2M", None),
    ],
)
def test_sampler_names_in_every_spelling(api: Any, fields: dict[str, Any], sampler: str, schedule: str | None) -> None:
    infotext = json.loads(made(api, **fields)["info"])["infotexts"][0]
    assert f"Sampler: {sampler}, " in infotext
    if schedule:
        assert f"Schedule type: {schedule}, " in infotext


def test_unknown_fields_nulls_and_an_empty_authorization_header_are_taken(api: Any) -> None:
    fields = SMALL | {
        "url": "http://x",
        "auth": "",
        "styles": None,
        "eta": None,
        "restore_faces": None,
        "hr_scale": None,
    }
    answer = api.post("/sdapi/v1/txt2img", json=fields, headers={"Authorization": ""})
    assert answer.status_code == 200


def test_an_override_never_outlives_its_request(api: Any) -> None:
    before = api.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"]
    overridden = made(api, override_settings={"CLIP_stop_at_last_layers": 2})
    assert "Clip skip: 2" in json.loads(overridden["info"])["infotexts"][0]
    assert api.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"] == before
    assert overridden["images"] != made(api)["images"]


def test_merged_tokens_change_the_picture_are_recorded_and_come_back_by_infotext(api: Any) -> None:
    merged = made(api, override_settings={"token_merging_ratio": 0.5})
    (infotext,) = json.loads(merged["info"])["infotexts"]
    assert "Token merging ratio: 0.5" in infotext
    assert merged["images"] != made(api)["images"]
    assert api.post("/sdapi/v1/txt2img", json={"infotext": infotext}).json()["images"] == merged["images"]


def test_two_clients_with_different_checkpoints_do_not_disturb_each_other(api: Any) -> None:
    def picture(name: str) -> str:
        image: str = made(api, override_settings={"sd_model_checkpoint": name})["images"][0]
        return image

    alone = {name: picture(name) for name in ("tiny", "other")}
    with ThreadPoolExecutor(4) as pool:
        mixed = list(pool.map(picture, ["tiny", "other"] * 2))
    assert mixed == [alone["tiny"], alone["other"]] * 2
    assert alone["tiny"] != alone["other"]


def test_an_unknown_checkpoint_is_named(api: Any) -> None:
    answer = api.post("/sdapi/v1/txt2img", json=SMALL | {"override_settings": {"sd_model_checkpoint": "nonesuch"}})
    assert answer.status_code == 422
    assert "nonesuch" in answer.json()["detail"]


def test_infotext_fills_what_the_request_does_not_say(api: Any) -> None:
    first = json.loads(made(api, sampler_name="Euler a", seed=99)["info"])["infotexts"][0]
    again = api.post("/sdapi/v1/txt2img", json={"infotext": first})
    assert json.loads(again.json()["info"])["infotexts"][0] == first
    changed = api.post("/sdapi/v1/txt2img", json={"infotext": first, "seed": 100}).json()
    assert json.loads(changed["info"])["seed"] == 100


def test_pictures_are_saved_only_on_request(api: Any, server: Any) -> None:
    outputs = server.data_dir / "outputs"
    before = set(outputs.rglob("*.png"))
    made(api)
    assert set(outputs.rglob("*.png")) == before
    answer = made(api, save_images=True)
    (saved,) = set(outputs.rglob("*.png")) - before
    assert saved.read_bytes() == base64.b64decode(answer["images"][0])
    with Image.open(saved) as image:
        infotext = image.info["parameters"]
    assert infotext == json.loads(answer["info"])["infotexts"][0]


def test_images_can_be_left_out_of_the_answer(api: Any) -> None:
    assert made(api, send_images=False)["images"] == []


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"width": 0}, "Width"),
        ({"width": 100_000}, "Width"),
        ({"steps": 0}, "steps"),
        ({"cfg_scale": 1e9}, "CFG"),
        ({"seed": 2**70}, "Seed"),
        ({"n_iter": 10**9}, "Batch count"),
        ({"script_name": "Custom code"}, "not found"),
        ({"alwayson_scripts": {"ADetailer": {"args": [1]}}}, "ADetailer"),
    ],
    ids=str,
)
def test_bad_values_are_refused_with_a_sentence(api: Any, fields: dict[str, Any], word: str) -> None:
    answer = api.post("/sdapi/v1/txt2img", json=SMALL | fields)
    assert answer.status_code == 422
    assert word in str(answer.json()["detail"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"width": NaN}', b'{"seed": "abc"}', b'{"prompt": [5]}', b"[" * 100_000]
)
def test_bodies_that_are_no_request_are_refused_and_the_server_goes_on(api: Any, body: Any) -> None:
    answer = api.post("/sdapi/v1/txt2img", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert made(api)["images"]


def test_sizes_are_cut_down_to_whole_cells_as_a1111_does(api: Any) -> None:
    assert opened(made(api, width=71, height=64)["images"][0]).size == (64, 64)


def test_a_prompt_of_a_megabyte_of_brackets_is_read(api: Any) -> None:
    answer = api.post("/sdapi/v1/txt2img", json=SMALL | {"prompt": "([" * 500_000 + "x"})
    assert answer.status_code in (200, 422)
    assert made(api)["images"]


def test_img2img_starts_from_the_picture(api: Any) -> None:
    near = opened(made(api, "img2img", init_images=[b64(png())], denoising_strength=0.2)["images"][0])
    far = opened(made(api, "img2img", init_images=[b64(png())], denoising_strength=0.9)["images"][0])
    assert near.size == (64, 64)
    assert near.tobytes() != far.tobytes()


def test_inpainting_over_the_api_changes_nothing_outside_the_mask(api: Any) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (40, 0, 64, 64))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    fields = {"init_images": ["data:image/png;base64," + b64(png())], "mask": b64(buffer.getvalue()), "mask_blur": 0}
    result = opened(made(api, "img2img", inpaint_full_res=False, inpainting_fill=1, **fields)["images"][0])
    original = Image.open(io.BytesIO(png()))
    assert (np.asarray(result)[:, :40] == np.asarray(original)[:, :40]).all()
    assert (np.asarray(result)[:, 40:] != np.asarray(original)[:, 40:]).any()


@pytest.mark.parametrize(
    ("picture", "status"),
    [(None, 404), ("", 422), ("no picture", 422), ("http://127.0.0.1/x.png", 422), (b64(png()[:90]), 500)],
)
def test_a_picture_that_is_missing_or_broken_is_said_so(api: Any, picture: Any, status: int) -> None:
    images = None if picture is None else [picture]
    answer = api.post("/sdapi/v1/img2img", json=SMALL | {"init_images": images})
    assert answer.status_code == status
    assert "picture" in answer.text or "image" in answer.text


def test_hires_fix_gives_the_larger_size(api: Any) -> None:
    image = opened(made(api, enable_hr=True, hr_scale=2, hr_upscaler="Latent", denoising_strength=0.7)["images"][0])
    assert image.size == (128, 128)
    assert "Hires upscale: 2" in image.info["parameters"]


def test_interrupting_a_call_answers_it_with_what_is_finished(api: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(made, api, steps=400, n_iter=5, force_task_id="long-one")
        waiting = threading.Event()
        for _ in range(200):
            state = api.get("/sdapi/v1/progress?id_task=long-one").json()
            if state["state"]["sampling_step"] > 0:
                break
            waiting.wait(0.1)
        assert 0 < state["progress"] < 1
        assert state["state"]["job_count"] == 5
        api.post("/sdapi/v1/interrupt")
        answer = call.result(60)
    assert len(answer["images"]) < 5
