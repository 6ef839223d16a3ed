"""Scripts over the API: listed in A1111's shapes, and requested by name with positional arguments."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import webuiapi  # type: ignore[import-untyped]  # it has no types

from modules.features.table import SCRIPTS
from tests.api.conftest import SMALL, b64, made, opened, png

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

IMG2IMG = {"init_images": [b64(png())], "denoising_strength": 0.5}


def test_scripts_are_listed_for_each_tab_in_lower_case(api: httpx.Client) -> None:
    listed = api.get("/sdapi/v1/scripts").json()
    assert set(listed) == {"txt2img", "img2img"}
    assert "loopback" in listed["img2img"] and "loopback" not in listed["txt2img"]
    assert "prompt matrix" in listed["txt2img"]
    named = set(listed["txt2img"]) | set(listed["img2img"])
    assert named == {script.title.lower() for script in SCRIPTS if not script.postprocesses}


def test_operations_of_extras_go_by_a1111s_places_and_are_listed_where_the_page_has_them(api: httpx.Client) -> None:
    options = {"postprocessing_enable_in_main_ui": ["Upscale"]}
    assert api.post("/sdapi/v1/options", json=options).status_code == 200
    assert "upscale" in api.get("/sdapi/v1/scripts").json()["txt2img"]
    api.post("/sdapi/v1/options", json={"postprocessing_enable_in_main_ui": []})
    scripts = {"Upscale": {"args": [True, 1, 4, 0, 96, 72, True, "lanczos"]}}
    answer = made(api, "txt2img", alwayson_scripts=scripts)
    assert opened(answer["images"][0]).size == (96, 72)
    assert "Postprocess upscale to: 96x72" in json.loads(answer["info"])["infotexts"][0]


def test_script_info_tells_each_argument_in_its_place(api: httpx.Client) -> None:
    items = api.get("/sdapi/v1/script-info").json()
    (upscale,) = [item for item in items if item["name"] == "sd upscale"]
    assert (upscale["is_alwayson"], upscale["is_img2img"]) == (False, True)
    assert [argument["label"] for argument in upscale["args"]] == ["", "Tile overlap", "Upscaler", "Scale Factor"]
    assert upscale["args"][1] == {
        **{"label": "Tile overlap", "value": 64, "minimum": 0, "maximum": 256, "step": 16, "choices": None}
    }
    assert upscale["args"][2]["choices"][:2] == ["None", "Lanczos"]
    assert len([item for item in items if item["name"] == "prompt matrix"]) == 2


def test_dynamic_prompts_give_each_picture_its_own_and_say_what_it_was_drawn_of(api: httpx.Client) -> None:
    scripts = {"Dynamic Prompts v2.17.1": {"args": [True, True, 1]}}
    answer = made(api, "txt2img", prompt="a {red|blue} cat", alwayson_scripts=scripts, seed=3)
    info = json.loads(answer["info"])
    assert info["all_prompts"] == ["a red cat", "a blue cat"] and info["all_seeds"] == [3, 4]
    assert [text.splitlines()[0] for text in info["infotexts"]] == info["all_prompts"]
    assert all(
        'Template: "a {red|blue} cat"' in text or "Template: a {red|blue} cat" in text for text in info["infotexts"]
    )
    # What came out makes the same picture again.
    again = made(api, "txt2img", prompt="a blue cat", seed=4)
    assert opened(again["images"][0]).tobytes() == opened(answer["images"][1]).tobytes()


def test_ultimate_sd_upscale_takes_the_extensions_arguments_in_their_places(api: httpx.Client) -> None:
    items = api.get("/sdapi/v1/script-info").json()
    (info,) = [item for item in items if item["name"] == "ultimate sd upscale"]
    upscalers = info["args"][8]["choices"]
    given = [None, 64, 0, 2, 8, 16, 0.4, 8, upscalers.index("Nearest"), True, 2, False, 3, 1, 2, 64, 64, 2]
    assert len(info["args"]) == len(given)
    answer = made(api, "img2img", script_name="Ultimate SD upscale", script_args=given, **IMG2IMG)
    assert [opened(image).size for image in answer["images"]] == [(128, 128)]
    (text,) = json.loads(answer["info"])["infotexts"]
    for key, value in {"upscaler": "Nearest", "tile_width": 64, "tile_height": 0, "mask_blur": 2, "padding": 8}.items():
        assert f"Ultimate SD upscale {key}: {value}," in text
    wrong = {"script_name": "ultimate sd upscale", "script_args": [None, 8]}
    refused = api.post("/sdapi/v1/img2img", json=SMALL | IMG2IMG | wrong)
    assert refused.status_code == 422 and "tiles of 8x8 are too small" in refused.text


def test_a_script_is_run_by_its_name_in_any_case_with_positional_arguments(api: httpx.Client) -> None:
    answer = made(api, "img2img", script_name="LOOPBACK", script_args=[2, 0.25, "lazy"], **IMG2IMG)
    info = json.loads(answer["info"])
    assert len(answer["images"]) == 3 and info["index_of_first_image"] == 1
    assert info["all_seeds"] == [7, 8]
    assert "Denoising curve: Lazy" in info["infotexts"][2] and "Denoising strength: 0.25" in info["infotexts"][2]
    assert info["extra_generation_params"]["Final denoising strength"] == "0.25"


@pytest.mark.long
def test_upscalers_go_by_name_or_by_their_place_in_the_list(api: httpx.Client) -> None:
    named, placed = (
        made(api, "img2img", script_name="SD upscale", script_args=["", 16, upscaler, 2.0], **IMG2IMG)
        for upscaler in ("Lanczos", 1)
    )
    assert opened(named["images"][0]).size == (128, 128)
    assert named["images"] == placed["images"]


@pytest.mark.parametrize(
    ("call", "fields", "said"),
    [
        ("txt2img", {"script_name": "loopback"}, "Script 'loopback' not found"),
        ("txt2img", {"script_name": "x"}, "Script 'x' not found"),
        ("txt2img", {"alwayson_scripts": {"nonsense": {"args": [1]}}}, "always on script nonsense not found"),
        (
            *("txt2img", {"alwayson_scripts": {"prompt matrix": {"args": []}}}),
            "Cannot have a selectable script in the always on scripts params",
        ),
        ("img2img", {"script_name": "loopback", "script_args": [0], **IMG2IMG}, "Loopback: Loops is 0: it must be"),
        ("img2img", {"script_name": "loopback", "script_args": [4, {}], **IMG2IMG}, "Final denoising strength is {}"),
    ],
)
def test_what_is_not_there_or_cannot_be_is_422_with_a_sentence(
    api: httpx.Client, call: Any, fields: Any, said: str
) -> None:
    answer = api.post(f"/sdapi/v1/{call}", json=SMALL | fields)
    assert answer.status_code == 422
    assert said in json.dumps(answer.json())


def test_empty_arguments_of_extensions_are_nothing_to_complain_about(api: httpx.Client) -> None:
    assert made(api, alwayson_scripts={"ADetailer": {"args": []}}, script_name="None")["images"]


def test_the_webuiapi_package_runs_a_script(server: Any) -> None:
    client = webuiapi.WebUIApi(host="127.0.0.1", port=server.port, sampler="Euler", steps=2)
    assert "prompt matrix" in client.get_scripts()["txt2img"]
    arguments = [False, False, "positive", "comma", 0]
    result = client.txt2img(
        prompt="a circle|red", width=64, height=64, seed=3, script_name="Prompt matrix", script_args=arguments
    )
    assert len(result.images) == 3
    assert result.info["all_prompts"] == ["a circle", "a circle, red"]
