"""The detail pass over HTTP with a real engine: what programs send for ADetailer, and what comes of it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import webuiapi  # type: ignore[import-untyped]  # it has no types
from PIL import Image

from tests.api.conftest import SMALL, b64, made, opened, png
from tests.control_models import controlnet_tensors, make_controlnet, write_control
from tests.features.detail.planted import plant
from tests.networks import write_trained_lora

pytestmark = pytest.mark.server

# Shares of a picture of 64 pixels: (8..24, 8..24) and (40..56, 40..56).
FIRST, SECOND = (0.125, 0.125, 0.375, 0.375), (0.625, 0.625, 0.875, 0.875)
EXACT = {"ad_model": "planted.onnx", "ad_dilate_erode": 0, "ad_mask_blur": 0, "ad_inpaint_only_masked_padding": 0}


@pytest.fixture(scope="module", autouse=True)
def detectors(server: Any) -> Iterator[Path]:
    """A file that finds one thing in every picture, and one that finds two."""
    folder = server.data_dir / "models" / "adetailer"
    plant(folder / "planted.onnx", [FIRST])
    plant(folder / "two.onnx", [FIRST, SECOND])
    plant(folder / "nothing.onnx", [])
    yield folder
    for path in folder.glob("*.onnx"):
        path.unlink()


@pytest.fixture(scope="module")
def plain(server: Any) -> np.ndarray:
    with httpx.Client(base_url=server.url, timeout=120) as client:
        return pixels(made(client))


def detailed(api: httpx.Client, *args: Any, call: str = "txt2img", **fields: Any) -> dict[str, Any]:
    return made(api, call, alwayson_scripts={"ADetailer": {"args": list(args)}}, **fields)


def pixels(answer: dict[str, Any], number: int = 0) -> np.ndarray:
    return np.asarray(opened(answer["images"][number]).convert("RGB"), dtype=int)


def changed(found: np.ndarray, before: np.ndarray) -> np.ndarray:
    different: np.ndarray = (found != before).any(axis=2)
    return different


def only_in(different: np.ndarray, *boxes: tuple[int, int, int, int]) -> bool:
    """Whether nothing outside of the boxes differs, and most inside of each does."""
    outside = different.copy()
    for left, top, right, bottom in boxes:
        outside[top:bottom, left:right] = False
    inside = all(different[top:bottom, left:right].mean() > 0.5 for left, top, right, bottom in boxes)
    return inside and not outside.any()


def test_what_is_found_is_painted_over_and_all_else_stays_to_the_bit(api: httpx.Client, plain: np.ndarray) -> None:
    answer = detailed(api, {**EXACT, "ad_denoising_strength": 0.9})
    assert only_in(changed(pixels(answer), plain), (8, 8, 24, 24))
    text = opened(answer["images"][0]).info["parameters"]
    assert "ADetailer model: planted.onnx, ADetailer confidence: 0.3" in text
    assert "ADetailer version: 25.3.0" in text and "Size: 64x64" in text and "Denoising strength" not in text


@pytest.mark.long
def test_two_tabs_and_several_masks_follow_each_other(api: httpx.Client, plain: np.ndarray) -> None:
    answer = detailed(api, True, False, {**EXACT, "ad_model": "two"}, {**EXACT, "ad_prompt": "a blue square"})
    both = pixels(answer)
    assert only_in(changed(both, plain), (8, 8, 24, 24), (40, 40, 56, 56))
    # The second tab goes on from what the first has made.
    first = pixels(detailed(api, {**EXACT, "ad_model": "two"}))
    assert only_in(changed(both, first), (8, 8, 24, 24))
    # The mask that [SKIP] leaves, and the seeds of the others.
    skipping = pixels(detailed(api, {**EXACT, "ad_model": "two", "ad_prompt": "[SKIP] [SEP]"}))
    assert only_in(changed(skipping, plain), (40, 40, 56, 56))
    np.testing.assert_array_equal(skipping[40:56, 40:56], first[40:56, 40:56])


def test_a_lora_that_a_tab_alone_names_acts_in_its_masks_and_nowhere_else(
    server: Any, api: httpx.Client, plain: np.ndarray
) -> None:
    lora = write_trained_lora(server.data_dir / "models" / "Lora" / "ink.safetensors")
    without = pixels(detailed(api, {**EXACT, "ad_prompt": "[PROMPT]"}))
    with_it = pixels(detailed(api, {**EXACT, "ad_prompt": "[PROMPT]<lora:ink:1>"}))
    assert only_in(changed(with_it, plain), (8, 8, 24, 24)) and (with_it != without).any()
    np.testing.assert_array_equal(pixels(made(api)), plain)
    lora.unlink()


@pytest.mark.long
def test_a_controlnet_that_a_tab_names_acts_in_its_masks_and_nowhere_else(
    server: Any, api: httpx.Client, plain: np.ndarray
) -> None:
    module = make_controlnet()
    path = write_control(server.data_dir / "models" / "ControlNet" / "lines.safetensors", controlnet_tensors(module))
    api.get("/controlnet/model_list", params={"update": True}).raise_for_status()
    without = pixels(detailed(api, EXACT))
    unit = {"ad_controlnet_model": "lines", "ad_controlnet_module": "invert", "ad_controlnet_weight": 2}
    with_it = pixels(detailed(api, {**EXACT, **unit}))
    assert only_in(changed(with_it, plain), (8, 8, 24, 24)) and (with_it != without).any()
    path.unlink()


@pytest.mark.long
def test_every_picture_of_a_batch_has_its_own_seed_inside(api: httpx.Client) -> None:
    batch = detailed(api, EXACT, n_iter=2, batch_size=2, do_not_save_grid=True)
    own = [opened(image) for image in batch["images"] if image][-4:]
    alone = pixels(detailed(api, EXACT, seed=10))
    np.testing.assert_array_equal(np.asarray(own[3], dtype=int), alone)


@pytest.mark.long
def test_a_pass_with_another_checkpoint_goes_back_to_the_first(api: httpx.Client, plain: np.ndarray) -> None:
    # Other tests of this server may have chosen one.
    present = str(api.get("/sdapi/v1/options").json()["sd_model_checkpoint"])
    name = "other.safetensors" if present.startswith("tiny") else "tiny.safetensors"
    own = {"ad_use_checkpoint": True, "ad_checkpoint": name}
    answer = detailed(api, {**EXACT, **own}, n_iter=2)
    other = pixels(answer, len(answer["images"]) - 2)
    assert only_in(changed(other, plain), (8, 8, 24, 24))
    assert (other != pixels(detailed(api, EXACT))).any()
    # What came after it is of the job's own checkpoint again.
    second = made(api, seed=8)
    assert only_in(changed(pixels(answer, len(answer["images"]) - 1), pixels(second)), (8, 8, 24, 24))
    refused = api.post(
        "/sdapi/v1/txt2img",
        json={"alwayson_scripts": {"ADetailer": {"args": [{**EXACT, **own, "ad_checkpoint": "gone"}]}}},
    )
    assert refused.status_code == 422 and "gone" in refused.text


@pytest.mark.long
def test_xyz_plot_runs_it_with_the_checkpoint_and_prompt_of_each_cell(api: httpx.Client) -> None:
    names = ["tiny.safetensors", "other.safetensors"]
    plot = ["Checkpoint name", "", names, *["Nothing", "", []] * 2, True, True, *[False] * 5, 0, False]
    answer = detailed(api, {**EXACT, "ad_prompt": "[PROMPT], small"}, script_name="x/y/z plot", script_args=plot)
    cells = [opened(one) for one in answer["images"]][-2:]
    for name, cell in zip(names, cells, strict=True):
        override: dict[str, Any] = {"override_settings": {"sd_model_checkpoint": name}}
        alone = detailed(api, {**EXACT, "ad_prompt": "a red circle, small"}, **override)
        np.testing.assert_array_equal(np.asarray(cell, dtype=int), pixels(alone))


def test_skipped_img2img_paints_over_the_picture_itself(api: httpx.Client) -> None:
    before = opened(b64(png((72, 72))))
    answer = detailed(api, True, True, EXACT, call="img2img", init_images=[b64(png((72, 72)))], width=128, height=128)
    after = pixels(answer)
    assert after.shape == (72, 72, 3)
    assert only_in(changed(after, np.asarray(before, dtype=int)), (9, 9, 27, 27))


def test_with_a_mask_over_the_whole_picture_only_what_meets_it_is_painted(api: httpx.Client) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (32, 32, 64, 64))
    fields = {"init_images": [b64(png())], "mask": b64(as_png(mask)), "mask_blur": 0, "inpaint_full_res": False}
    without = pixels(made(api, "img2img", **fields))
    with_it = pixels(detailed(api, {**EXACT, "ad_model": "two"}, call="img2img", **fields))
    assert only_in(changed(with_it, without), (40, 40, 56, 56))


def as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_over_the_whole_picture_nothing_outside_changes_either(api: httpx.Client, plain: np.ndarray) -> None:
    whole = {**EXACT, "ad_inpaint_only_masked": False}
    assert only_in(changed(pixels(detailed(api, whole)), plain), (8, 8, 24, 24))
    larger = {"ad_use_inpaint_width_height": True, "ad_inpaint_width": 128, "ad_inpaint_height": 128}
    assert only_in(changed(pixels(detailed(api, {**whole, **larger})), plain), (8, 8, 24, 24))


def test_pictures_beside_it_are_saved_where_settings_say_so(api: httpx.Client, server: Any) -> None:
    settings = {"ad_save_previews": True, "ad_save_images_before": True}
    detailed(api, EXACT, EXACT, save_images=True, override_settings=settings, seed=4711)
    names = {path.stem.partition("4711")[2] for path in server.data_dir.rglob("*4711*")}
    assert {"", "-ad-before", "-ad-preview", "-ad-preview-2nd"} <= names
    # Each picture of a script has its own.
    plot: list[Any] = ["[ADetailer] Mask erosion / dilation 1st", "0, 8", [], *["Nothing", "", []] * 2]
    plot += [True, True, *[False] * 5, 0, False]
    script: dict[str, Any] = {"script_name": "x/y/z plot", "script_args": plot}
    detailed(api, EXACT, save_images=True, override_settings=settings, seed=4712, **script)
    previews = list(server.data_dir.rglob("*4712*-ad-preview*"))
    assert len(previews) == 2
    first, second = (np.asarray(Image.open(path).convert("RGB"), dtype=int) for path in sorted(previews))
    assert changed(first, second).any()


def test_a_detector_that_is_not_here_is_one_sentence(api: httpx.Client) -> None:
    """Before anything waits: a job of the queue would begin with its passes."""
    answer = api.post("/sdapi/v1/txt2img", json={"alwayson_scripts": {"ADetailer": {"args": [{"ad_model": "x.pt"}]}}})
    assert answer.status_code == 422
    assert "ADetailer: The detector 'x.pt' is not here: put its file into models/adetailer" in answer.text
    off = {"ADetailer": {"args": [False, False, {"ad_model": "x.pt"}]}}
    assert api.post("/sdapi/v1/txt2img", json={"steps": 1, "alwayson_scripts": off}).status_code == 200


def test_two_clients_at_once_have_each_their_own_features(server: Any, api: httpx.Client, plain: np.ndarray) -> None:
    """Guidance inside the UNet, regions and the detail pass: what one job patches the other never sees."""
    wanted: list[dict[str, Any]] = [
        {"alwayson_scripts": {"ADetailer": {"args": [EXACT]}, "FreeU": {"args": [True, 1.5, 1.6, 0.9, 0.2]}}},
        {"alwayson_scripts": {"Forge Couple": {"args": [True]}}, "prompt": "a red circle\na blue square"},
    ]
    alone = [pixels(made(api, **fields)) for fields in wanted]

    def both(fields: dict[str, Any]) -> list[np.ndarray]:
        with httpx.Client(base_url=server.url, timeout=120) as client:
            return [pixels(made(client, **fields)) for _ in range(2)]

    with ThreadPoolExecutor(2) as clients:
        together = list(clients.map(both, wanted))
    for expected, found in zip(alone, together, strict=True):
        assert (expected != plain).any()
        for one in found:
            np.testing.assert_array_equal(one, expected)
    np.testing.assert_array_equal(pixels(made(api)), plain)


@pytest.mark.parametrize(
    "several",
    [{"n_iter": 2}, {"prompt": "a red|circle", "script_name": "Prompt matrix", "script_args": [False]}],
    ids=["batches", "script"],
)
def test_progress_goes_on_through_the_detail_pass(api: httpx.Client, several: dict[str, Any]) -> None:
    tab = {**EXACT, "ad_model": "two", "ad_use_steps": True, "ad_steps": 30, "ad_denoising_strength": 0.5}
    fields = {**SMALL, "steps": 20, "alwayson_scripts": {"ADetailer": {"args": [tab]}}, **several}
    job = api.post("/v1/jobs/txt2img", json=fields).raise_for_status().json()["id"]
    seen: list[dict[str, Any]] = []
    with api.stream("GET", f"/v1/jobs/{job}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: ") and "fraction" in line:
                seen.append(json.loads(line.removeprefix("data: ")))
    assert api.get(f"/v1/jobs/{job}").json()["state"] == "finished"
    fractions = [one["fraction"] for one in seen]
    assert fractions == sorted(fractions) and fractions[0] > 0 and fractions[-1] <= 1
    # 20 of a picture, and 15 of each of the two things that are found in it; one of these is counted on.
    assert len({one["fraction"] for one in seen if one["steps"] != 20}) > 10
    assert max(one["fraction"] for one in seen if one["steps"] == 20) == pytest.approx((1 + 20 / 35) / 2, abs=0.02)


def test_programs_learn_version_schema_and_detectors(api: httpx.Client) -> None:
    assert api.get("/adetailer/v1/version").json() == {"version": "25.3.0"}
    models = api.get("/adetailer/v1/ad_model").json()["ad_model"]
    assert models[0] == "nothing.onnx" and "mediapipe_face_full" in models and "None" not in models
    schema = api.get("/adetailer/v1/schema").json()
    assert schema["properties"]["ad_confidence"] == {
        "title": "Confidence", "type": "number", "default": 0.3, "minimum": 0, "maximum": 1
    }  # fmt: skip
    assert "ad_model" in schema["required"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_webuiapis_helper_works_unmodified(server: Any) -> None:
    client = webuiapi.WebUIApi(host="127.0.0.1", port=server.port, sampler="DPM++ 2M", steps=2)
    tab = webuiapi.ADetailer(ad_model="planted.onnx", ad_dilate_erode=0, ad_mask_blur=0, ad_denoising_strength=0.9)
    fields: dict[str, Any] = {"prompt": "a red circle", "width": 64, "height": 64, "seed": 7}
    plain = np.asarray(client.txt2img(**fields).image, dtype=int)
    result = client.txt2img(**fields, adetailer=[tab])
    assert "ADetailer model: planted.onnx" in result.info["infotexts"][0]
    assert only_in(changed(np.asarray(result.image, dtype=int), plain), (8, 8, 24, 24))
    (notice,) = [one for one in result.info["comments"] if "ADetailer" in one] or [""]
    assert "nothing" not in notice
