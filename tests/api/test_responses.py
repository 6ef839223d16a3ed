"""Whole answers of generation calls, in a table: how many pictures, in which order, and what `info` says of each."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.amounts import some
from tests.api.conftest import SMALL, b64, opened, png

PICTURE = b64(png(seed=1))
MASK = b64(png(seed=2))
IMG2IMG = {"init_images": [PICTURE], "denoising_strength": 0.5}
INPAINT = IMG2IMG | {"mask": MASK, "inpaint_full_res": False, "mask_blur": 0}
HIRES = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_second_pass_steps": 1}
BOTH_MASKS = {"return_mask": True, "return_mask_composite": True}
SAVED = {"save_images": True}
NO_GRID = {"return_grid": False}
MATRIX = {"script_name": "Prompt matrix", "prompt": "a|b", "script_args": [False, False, "positive", "comma", 0]}

# Call, fields, settings for the request, pictures made, pictures returned, grids among them.
TABLE: tuple[tuple[str, dict[str, Any], dict[str, Any], int, int, int], ...] = (
    ("txt2img", {}, {}, 1, 1, 0),
    ("txt2img", {"batch_size": 2}, {}, 2, 2, 0),
    ("txt2img", {"batch_size": 2, "n_iter": 2}, {}, 4, 4, 0),
    ("txt2img", {"batch_size": 2} | SAVED, {}, 2, 3, 1),
    ("txt2img", {"batch_size": 2} | SAVED, NO_GRID, 2, 2, 0),
    ("txt2img", SAVED, {}, 1, 1, 0),
    ("txt2img", {"batch_size": 2, "send_images": False}, {}, 2, 0, 0),
    ("txt2img", {"batch_size": 2, "send_images": False} | SAVED, {}, 2, 0, 1),
    ("txt2img", {"n_iter": 2} | HIRES, {}, 2, 2, 0),
    ("txt2img", {"n_iter": 2} | HIRES | SAVED, {}, 2, 3, 1),
    ("txt2img", MATRIX, {}, 2, 3, 1),
    ("img2img", IMG2IMG, {}, 1, 1, 0),
    ("img2img", IMG2IMG | {"batch_size": 2}, {}, 2, 2, 0),
    ("img2img", IMG2IMG | {"batch_size": 2} | SAVED, {}, 2, 3, 1),
    ("img2img", IMG2IMG | {"batch_size": 2} | SAVED, NO_GRID, 2, 2, 0),
    ("img2img", INPAINT, {}, 1, 1, 0),
    ("img2img", INPAINT, BOTH_MASKS, 1, 3, 0),
    ("img2img", INPAINT | {"batch_size": 2}, {"return_mask": True}, 2, 4, 0),
)
# Keys of `info` and what their values are.
INFO: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("prompt", "negative_prompt", "sampler_name", "job_timestamp", "version", "sd_model_name"), str),
    **dict.fromkeys(("seed", "subseed", "width", "height", "steps", "batch_size", "clip_skip"), int),
    **dict.fromkeys(("seed_resize_from_w", "seed_resize_from_h", "index_of_first_image"), int),
    **dict.fromkeys(("cfg_scale", "subseed_strength"), (int, float)),
    **dict.fromkeys(("restore_faces", "is_using_inpainting_conditioning"), bool),
    **dict.fromkeys(("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "infotexts", "styles"), list),
    **dict.fromkeys(("face_restoration_model", "sd_vae_name", "sd_vae_hash", "sd_model_hash"), (str, type(None))),
    "denoising_strength": (int, float, type(None)),
    "extra_generation_params": dict,
}


@pytest.mark.server
@pytest.mark.parametrize(
    ("call", "fields", "settings", "made", "returned", "grids"),
    some(TABLE, 9),
    ids=lambda value: (
        ",".join(key for key in value if "image" not in key or value is SAVED) or "-"
        if isinstance(value, dict)
        else str(value)
    ),
)
def test_a_whole_answer(
    api: httpx.Client,
    call: str,
    fields: dict[str, Any],
    settings: dict[str, Any],
    made: int,
    returned: int,
    grids: int,
) -> None:
    body = SMALL | fields | {"override_settings": settings}
    answer = api.post(f"/sdapi/v1/{call}", json=body)
    assert answer.status_code == 200, answer.text
    body_of_answer = answer.json()
    assert set(body_of_answer) == {"images", "parameters", "info"}
    info = json.loads(body_of_answer["info"])
    assert len(body_of_answer["images"]) == returned
    check_info(info, made, grids)
    sent = body.get("send_images", True)
    assert len(info["infotexts"]) == (returned if sent else made + grids)
    check_order(body_of_answer["images"], info, body, grids if sent else 0)
    check_echo(body_of_answer["parameters"], body)


def check_info(info: dict[str, Any], made: int, grids: int) -> None:
    for key, kind in INFO.items():
        assert isinstance(info[key], kind), (key, info[key])
    assert info["index_of_first_image"] == grids
    for key in ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds"):
        assert len(info[key]) == made, key
    assert (info["seed"], info["subseed"]) == (info["all_seeds"][0], info["all_subseeds"][0])


def check_order(images: list[str], info: dict[str, Any], body: dict[str, Any], grids: int) -> None:
    """Grids come first and are larger; each picture says in its own text what `info` says of it."""
    scale = 2 if body.get("enable_hr") else 1
    for number, text in enumerate(images):
        image = opened(text)
        assert base64.b64decode(text).startswith(b"\x89PNG")
        if number < grids:
            assert image.width * image.height > 64 * 64 * scale**2
        else:
            assert image.size == (64 * scale, 64 * scale)
        if "parameters" in image.info:
            assert image.info["parameters"] == info["infotexts"][number]


def check_echo(parameters: dict[str, Any], body: dict[str, Any]) -> None:
    """The request comes back with its defaults, without the pictures that were sent."""
    for key, value in body.items():
        assert parameters[key] == (None if key in {"init_images", "mask"} else value), key
    assert parameters["sampler_index"] == "Euler" and parameters["n_iter"] == body.get("n_iter", 1)
