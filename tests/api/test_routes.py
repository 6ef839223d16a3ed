"""Lists, settings, progress and the rest of A1111's routes, and our own job calls."""

from __future__ import annotations

import io
import json
import socket
import struct
import time
from typing import Any

import pytest
from PIL import Image

from modules.generation.hires import LATENT_MODES
from modules.parameters.upscalers import LATENT_UPSCALE_MODES
from modules.server.ports import bind
from tests.api.conftest import SMALL, b64, made, opened, png
from tests.checkpoints import write_embedding
from tests.pictures.embedding_pictures import document, write_pixel_picture
from tests.pictures.test_opening import header_only
from tests.upscaling.models import write_upscaler

pytestmark = pytest.mark.server


def test_the_latent_modes_that_are_listed_are_those_that_exist() -> None:
    assert tuple(LATENT_MODES) == LATENT_UPSCALE_MODES


@pytest.mark.parametrize(
    "route",
    [
        "sd-vae",
        "loras",
        "hypernetworks",
        "face-restorers",
        "realesrgan-models",
        "prompt-styles",
        "extensions",
    ],
)
def test_lists_of_what_is_not_there_are_empty(api: Any, route: str) -> None:
    assert api.get(f"/sdapi/v1/{route}").json() == []


def test_the_first_samplers_are_a1111s(api: Any) -> None:
    names = [item["name"] for item in api.get("/sdapi/v1/samplers").json()]
    assert names[:3] == ["DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE"]


def test_the_whole_options_dict_can_be_posted_back(api: Any) -> None:
    options = api.get("/sdapi/v1/options").json()
    assert options["sd_model_checkpoint"]
    assert api.post("/sdapi/v1/options", json=options | {"from_another_program": 1}).status_code == 200
    assert api.get("/sdapi/v1/options").json() == options


def test_an_option_is_changed_and_a_bad_value_refused(api: Any) -> None:
    assert api.post("/sdapi/v1/options", json={"jpeg_quality": 70}).status_code == 200
    assert api.get("/sdapi/v1/options").json()["jpeg_quality"] == 70
    refused = api.post("/sdapi/v1/options", json={"jpeg_quality": "very"})
    assert refused.status_code == 422
    assert api.get("/sdapi/v1/options").json()["jpeg_quality"] == 70


def test_choosing_a_checkpoint_by_any_of_its_names(api: Any) -> None:
    titles = {item["model_name"]: item["title"] for item in api.get("/sdapi/v1/sd-models").json()}
    assert api.post("/sdapi/v1/options", json={"sd_model_checkpoint": "other"}).status_code == 200
    assert api.get("/sdapi/v1/options").json()["sd_model_checkpoint"].startswith("other.safetensors")
    assert json.loads(made(api)["info"])["sd_model_name"] == "other"
    assert api.post("/sdapi/v1/options", json={"sd_model_checkpoint": titles["tiny"]}).status_code == 200
    assert api.post("/sdapi/v1/options", json={"sd_model_checkpoint": "nonesuch"}).status_code == 404


def test_flags_are_listed_without_secrets(api: Any) -> None:
    flags = api.get("/sdapi/v1/cmd-flags").json()
    assert "port" in flags
    assert not {"gradio_auth", "api_auth"} & set(flags)


def test_progress_is_zero_when_nothing_runs(api: Any) -> None:
    progress = api.get("/sdapi/v1/progress").json()
    assert progress["progress"] == 0.0
    assert progress["state"]["job_count"] == 0
    assert set(progress["state"]) >= {"skipped", "interrupted", "job", "job_no", "sampling_step", "sampling_steps"}


def test_stopping_nothing_is_no_error(api: Any) -> None:
    assert api.post("/sdapi/v1/interrupt").json() == {}
    assert api.post("/sdapi/v1/skip").json() is None


def test_internal_progress_knows_a_finished_task(api: Any) -> None:
    made(api, force_task_id="task(abc)")
    answer = api.post("/internal/progress", json={"id_task": "task(abc)"}).json()
    assert (answer["active"], answer["queued"], answer["completed"]) == (False, False, True)
    unknown = api.post("/internal/progress", json={"id_task": "task(nobody)"}).json()
    assert not unknown["completed"]


def test_png_info_reads_what_was_written(api: Any) -> None:
    picture = made(api)["images"][0]
    answer = api.post("/sdapi/v1/png-info", json={"image": picture}).json()
    assert answer["info"].startswith("a red circle\nSteps: 2")
    assert answer["parameters"]["Seed"] == "7"
    assert answer["items"]["parameters"] == answer["info"]
    assert api.post("/sdapi/v1/png-info", json={"image": b64(png())}).json()["info"] == ""


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"upscaling_resize": 2, "upscaler_1": "Lanczos"}, (128, 64)),
        ({"upscaling_resize": 2, "upscaler_1": "None"}, (64, 32)),
        ({"resize_mode": 1, "upscaling_resize_w": 100, "upscaling_resize_h": 100, "upscaler_1": "Nearest"}, (100, 100)),
        (
            {
                "resize_mode": 1,
                "upscaling_resize_w": 100,
                "upscaling_resize_h": 100,
                "upscaling_crop": False,
                "upscaler_1": "Nearest",
            },
            (200, 96),
        ),
    ],
)
def test_extras_enlarges(api: Any, fields: dict[str, Any], size: tuple[int, int]) -> None:
    answer = api.post("/sdapi/v1/extra-single-image", json={"image": b64(png((64, 32)))} | fields)
    assert opened(answer.json()["image"]).size == size


def test_extras_with_a_model_is_a_job_of_the_engine(api: Any, server: Any) -> None:
    folder = server.data_dir / "models" / "ESRGAN"
    write_upscaler(folder / "2x_tiny.pth", "Compact", "params")
    (folder / "broken.pth").write_bytes(b"PK\x03\x04")
    listed = {one["name"]: one for one in api.get("/sdapi/v1/upscalers").json()}
    path = str(folder / "2x_tiny.pth")
    assert listed["2x_tiny"] == {
        "name": "2x_tiny", "model_name": "2x_tiny", "model_path": path, "model_url": None, "scale": 2,
    }  # fmt: skip
    assert list(listed)[:3] == ["None", "Lanczos", "Nearest"] and listed["Lanczos"]["model_path"] is None
    pictures = [{"data": b64(png(seed=n)), "name": "same.png"} for n in range(2)]
    fields = {"imageList": pictures, "upscaler_1": "2x_tiny", "upscaling_resize": 2}
    answer = api.post("/sdapi/v1/extra-batch-images", json=fields)
    assert answer.status_code == 200, answer.text
    results = [opened(image) for image in answer.json()["images"]]
    assert [image.size for image in results] == [(128, 128)] * 2 and results[0].tobytes() != results[1].tobytes()
    assert results[0].info["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: 2x_tiny"
    one = api.post("/sdapi/v1/extra-single-image", json=fields | {"image": pictures[0]["data"]}).json()
    assert opened(one["image"]).tobytes() == results[0].tobytes()
    broken = api.post("/sdapi/v1/extra-single-image", json={"image": b64(png()), "upscaler_1": "broken"})
    assert broken.status_code == 500 and "broken.pth is truncated" in broken.json()["detail"]
    assert api.get("/sdapi/v1/realesrgan-models").json() == api.get("/sdapi/v1/face-restorers").json() == []
    saved = made(api, enable_hr=True, hr_upscaler="2x_tiny", denoising_strength=0.3)
    assert opened(saved["images"][0]).size == (128, 128)


def test_extras_takes_a_list(api: Any) -> None:
    pictures = [{"data": b64(png(seed=n)), "name": f"{n}.png"} for n in range(3)]
    answer = api.post("/sdapi/v1/extra-batch-images", json={"imageList": pictures, "upscaler_1": "Nearest"})
    assert [opened(image).size for image in answer.json()["images"]] == [(128, 128)] * 3


@pytest.mark.parametrize(
    "fields",
    [
        {"upscaler_1": "R-ESRGAN 4x+"},
        {"gfpgan_visibility": 1},
        {"upscaler_1": "Lanczos", "resize_mode": 1, "upscaling_resize_w": 16384, "upscaling_resize_h": 16384},
    ],
)
def test_what_extras_cannot_do_is_said(api: Any, fields: dict[str, Any]) -> None:
    answer = api.post("/sdapi/v1/extra-single-image", json={"image": b64(png())} | fields)
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_picture_of_many_megapixels_is_refused_before_it_is_decoded(api: Any) -> None:
    huge = b64(header_only(20_000, 20_000))
    answer = api.post("/sdapi/v1/extra-single-image", json={"image": huge, "upscaler_1": "Nearest"})
    assert answer.status_code == 422
    assert "megapixels" in answer.json()["detail"]


def test_memory_unload_and_reload(api: Any) -> None:
    assert api.get("/sdapi/v1/memory").json()["ram"]["total"] > 0
    assert api.post("/sdapi/v1/unload-checkpoint").json() == {}
    assert api.post("/sdapi/v1/reload-checkpoint").json() == {}
    assert made(api)["images"]


@pytest.mark.parametrize("call", ["create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork"])
def test_training_is_refused_in_a_sentence(api: Any, call: str) -> None:
    answer = api.post(f"/sdapi/v1/{call}", json={"name": "x"})
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "detail", "body", "errors"}
    assert "Training" in answer.json()["detail"]


def test_embeddings_are_listed_with_their_size_and_those_of_sdxl_apart(api: Any, server: Any) -> None:
    folder = server.data_dir / "embeddings"
    folder.mkdir(exist_ok=True)
    write_embedding(folder / "ink.safetensors", vectors=3, width=64)
    header = {name: {"dtype": "F32", "shape": [0, 8], "data_offsets": [0, 0]} for name in ("clip_g", "clip_l")}
    text = json.dumps(header).encode()
    (folder / "xl.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    api.post("/sdapi/v1/refresh-embeddings")
    answer = api.get("/sdapi/v1/embeddings").json()
    assert {"step", "sd_checkpoint", "sd_checkpoint_name", "shape", "vectors"} == set(answer["loaded"]["ink"])
    unsaid = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None}
    assert answer["loaded"]["ink"] == {**unsaid, "shape": 64, "vectors": 3}
    assert "xl" in answer["skipped"] and "xl" not in answer["loaded"]
    write_pixel_picture(folder / "card.png", document({"*": [[0.5] * 64] * 2}, "painted"))
    for name in ("ink.png", "xl.preview.png", "holiday.png"):
        Image.new("RGB", (8, 8), "red").save(folder / name)
    listed = api.get("/sdapi/v1/embeddings").json()
    assert listed["loaded"].keys() == {*answer["loaded"], "painted"} and listed["skipped"] == answer["skipped"]
    assert (listed["loaded"]["painted"]["vectors"], listed["loaded"]["painted"]["shape"]) == (2, 64)
    assert listed["loaded"]["ink"]["vectors"] == 3
    assert listed["loaded"]["painted"]["step"] == 5


def test_a_prompt_of_digits_may_come_as_a_number(api: Any) -> None:
    assert json.loads(made(api, prompt=1984)["info"])["prompt"] == "1984"


def test_the_server_cannot_be_stopped_without_the_flag(api: Any) -> None:
    assert api.post("/sdapi/v1/server-kill").status_code in (404, 405)


def test_a_job_by_our_own_calls(api: Any) -> None:
    accepted = api.post("/v1/jobs/txt2img", json=SMALL)
    assert accepted.status_code == 202
    job_id = accepted.json()["id"]
    with api.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        events = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]
    assert events[-1] == "state"
    job = api.get(f"/v1/jobs/{job_id}").json()
    assert job["state"] == "finished"
    picture = api.get(f"/v1/jobs/{job_id}/images/0")
    assert Image.open(io.BytesIO(picture.content)).size == (64, 64)
    again = api.post(f"/v1/jobs/{job_id}/retry").json()
    assert set(again) == {"id", "state"}
    assert api.get(f"/v1/jobs/{again['id']}").json()["seeds"] == job["seeds"]


def test_waiting_jobs_are_reordered_and_cancelled(api: Any) -> None:
    running = api.post("/v1/jobs/txt2img", json=SMALL | {"steps": 1000, "width": 128, "height": 128}).json()["id"]
    while api.get(f"/v1/jobs/{running}").json()["state"] != "running":
        time.sleep(0.02)
    first, second = (api.post("/v1/jobs/txt2img", json=SMALL).json()["id"] for _ in range(2))
    assert api.post(f"/v1/jobs/{second}/move", json={"position": 1}).status_code == 200
    waiting = [job["id"] for job in api.get("/v1/jobs?state=waiting").json()]
    assert waiting.index(second) < waiting.index(first)
    assert api.post(f"/v1/jobs/{first}/cancel").json()["state"] == "cancelled"
    api.post(f"/v1/jobs/{running}/cancel")
    with api.stream("GET", f"/v1/jobs/{second}/events") as stream:
        assert list(stream.iter_lines())
    assert api.get(f"/v1/jobs/{second}").json()["state"] == "finished"


@pytest.mark.parametrize("call", ["", "/events", "/images/0"])
def test_a_job_that_is_not_there(api: Any, call: str) -> None:
    assert api.get(f"/v1/jobs/nonesuch{call}").status_code == 404


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    """Headers and body are two writes: with Nagle's algorithm every answer would take 40 ms."""
    with bind("127.0.0.1", 0, fixed=True) as listener:
        assert listener.proto == socket.IPPROTO_TCP
