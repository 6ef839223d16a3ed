"""Every route of A1111's API in a table: what its answers are made of, keys and types, as A1111 1.10.1 has them.

In this process with the fake engine, over folders that hold one of each kind of model, so that no list is empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Final

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from modules.api.routes import api_routes
from modules.jobs import services as real
from modules.server.auth import login_required
from modules.settings import parse_flags
from tests.api.conftest import SMALL, b64, png
from tests.api.test_responses import INFO
from tests.catalogue.files import write_model
from tests.checkpoints import write_embedding
from tests.server.fake_engine_server import fake_launch, write_checkpoint


@dataclass(frozen=True)
class Each:
    """An object whose keys are names of things: each value is `of` that shape, and there is one at least."""

    of: Any


@dataclass(frozen=True)
class Some:
    """An object that has these keys, and more."""

    keys: Mapping[str, Any]


class JsonText:
    """A text that is JSON of some shape."""

    def __init__(self, of: Any) -> None:
        self.of = of


NUMBER: Final = (int, float)
TEXT_OR_NONE: Final = (str, NoneType)
NUMBER_OR_NONE: Final = (int, float, NoneType)
EMBEDDING: Final = {
    "step": (int, NoneType),
    "sd_checkpoint": TEXT_OR_NONE,
    "sd_checkpoint_name": TEXT_OR_NONE,
    "shape": int,
    "vectors": int,
}
STATE: Final = {
    **dict.fromkeys(("skipped", "interrupted", "stopping_generation"), bool),
    **dict.fromkeys(("job", "job_timestamp"), str),
    **dict.fromkeys(("job_count", "job_no", "sampling_step", "sampling_steps"), int),
}
# `job_id` and `comments` are ours.
MADE: Final = {"images": [str], "parameters": dict, "info": JsonText({**INFO, "job_id": str, "comments": list})}
ARGUMENT: Final = {
    "label": TEXT_OR_NONE,
    "value": object,
    **dict.fromkeys(("minimum", "maximum", "step"), NUMBER_OR_NONE),
    "choices": (list, NoneType),
}
PICTURE: Final = b64(png())
TASK: Final = {"id_task": "task(x)", "id_live_preview": -1, "live_preview": True}

# Method and path, body, shape of the answer. One list stands for a list of as many as there are, at least one.
TABLE: Final[tuple[tuple[str, str, Any, Any], ...]] = (
    ("POST", "/sdapi/v1/txt2img", SMALL, MADE),
    ("POST", "/sdapi/v1/img2img", SMALL | {"init_images": [PICTURE]}, MADE),
    (
        "POST",
        "/sdapi/v1/extra-single-image",
        {"image": PICTURE, "upscaler_1": "Lanczos"},
        {"html_info": str, "image": str},
    ),
    (
        "POST",
        "/sdapi/v1/extra-batch-images",
        {"imageList": [{"data": PICTURE, "name": "a.png"}], "upscaler_1": "Nearest"},
        {"html_info": str, "images": [str]},
    ),
    ("POST", "/sdapi/v1/png-info", {"image": PICTURE}, {"info": str, "items": dict, "parameters": dict}),
    (
        "GET",
        "/sdapi/v1/progress",
        None,
        {
            "progress": NUMBER,
            "eta_relative": NUMBER,
            "state": STATE,
            "current_image": TEXT_OR_NONE,
            "textinfo": TEXT_OR_NONE,
            "current_task": TEXT_OR_NONE,
        },
    ),
    ("POST", "/sdapi/v1/interrupt", None, {}),
    ("POST", "/sdapi/v1/skip", None, None),
    ("GET", "/sdapi/v1/options", None, Some({"sd_model_checkpoint": TEXT_OR_NONE, "jpeg_quality": NUMBER})),
    ("POST", "/sdapi/v1/options", {"jpeg_quality": 80}, None),
    ("GET", "/sdapi/v1/cmd-flags", None, Some({"listen": bool, "port": (int, NoneType), "data_dir": str})),
    ("GET", "/sdapi/v1/samplers", None, [{"name": str, "aliases": [str], "options": dict}]),
    (
        "GET",
        "/sdapi/v1/schedulers",
        None,
        [
            {
                "name": str,
                "label": str,
                "aliases": (list, NoneType),
                "default_rho": NUMBER_OR_NONE,
                "need_inner_model": (bool, NoneType),
            }
        ],
    ),
    (
        "GET",
        "/sdapi/v1/upscalers",
        None,
        [
            {
                "name": str,
                "model_name": TEXT_OR_NONE,
                "model_path": TEXT_OR_NONE,
                "model_url": TEXT_OR_NONE,
                "scale": NUMBER_OR_NONE,
            }
        ],
    ),
    ("GET", "/sdapi/v1/latent-upscale-modes", None, [{"name": str}]),
    (
        "GET",
        "/sdapi/v1/sd-models",
        None,
        [
            {
                "title": str,
                "model_name": str,
                "hash": TEXT_OR_NONE,
                "sha256": TEXT_OR_NONE,
                "filename": str,
                "config": TEXT_OR_NONE,
            }
        ],
    ),
    ("GET", "/sdapi/v1/sd-vae", None, [{"model_name": str, "filename": str}]),
    ("GET", "/sdapi/v1/hypernetworks", None, [{"name": str, "path": TEXT_OR_NONE}]),
    ("GET", "/sdapi/v1/face-restorers", None, [{"name": str, "cmd_dir": TEXT_OR_NONE}]),
    ("GET", "/sdapi/v1/realesrgan-models", None, [{"name": str, "path": TEXT_OR_NONE, "scale": NUMBER_OR_NONE}]),
    (
        "GET",
        "/sdapi/v1/prompt-styles",
        None,
        [{"name": str, "prompt": TEXT_OR_NONE, "negative_prompt": TEXT_OR_NONE}],
    ),
    ("GET", "/sdapi/v1/embeddings", None, {"loaded": Each(EMBEDDING), "skipped": dict}),
    ("POST", "/sdapi/v1/refresh-embeddings", None, None),
    ("POST", "/sdapi/v1/refresh-checkpoints", None, None),
    ("POST", "/sdapi/v1/refresh-vae", None, None),
    ("POST", "/sdapi/v1/refresh-loras", None, None),
    (
        "GET",
        "/sdapi/v1/memory",
        None,
        {"ram": {"free": NUMBER, "used": NUMBER, "total": NUMBER}, "cuda": {"error": str}},
    ),
    ("POST", "/sdapi/v1/unload-checkpoint", None, {}),
    ("POST", "/sdapi/v1/reload-checkpoint", None, {}),
    ("GET", "/sdapi/v1/scripts", None, {"txt2img": [str], "img2img": [str]}),
    (
        "GET",
        "/sdapi/v1/script-info",
        None,
        [{"name": str, "is_alwayson": bool, "is_img2img": bool, "args": list}],
    ),
    ("GET", "/sdapi/v1/loras", None, [{"name": str, "alias": str, "path": str, "metadata": dict}]),
    (
        "POST",
        "/internal/progress",
        TASK,
        {
            **dict.fromkeys(("active", "queued", "completed"), bool),
            **dict.fromkeys(("progress", "eta"), NUMBER_OR_NONE),
            **dict.fromkeys(("live_preview", "textinfo"), TEXT_OR_NONE),
            "id_live_preview": int,
        },
    ),
    ("GET", "/adetailer/v1/version", None, {"version": str}),
    ("GET", "/adetailer/v1/schema", None, Some({"title": str, "properties": dict})),
    ("GET", "/adetailer/v1/ad_model", None, {"ad_model": [str]}),
    ("GET", "/controlnet/version", None, {"version": int}),
    ("GET", "/controlnet/settings", None, {"control_net_unit_count": int}),
    ("GET", "/controlnet/model_list", None, {"model_list": list}),
    ("GET", "/controlnet/module_list", None, {"module_list": [str], "module_detail": dict}),
    ("GET", "/controlnet/control_types", None, {"control_types": dict}),
    ("GET", "/internal/pending-tasks", None, {"size": int, "tasks": list}),
    ("GET", "/internal/quicksettings-hint", None, [{"name": str, "label": str}]),
    ("GET", "/internal/ping", None, {}),
    ("GET", "/queue/status", None, Some({"msg": str, "queue_size": int, "queue_eta": int})),
    ("GET", "/internal/profile-startup", None, {"total": NUMBER, "records": dict}),
    ("GET", "/internal/sysinfo", None, Some({"Platform": str, "Python": str, "Version": str})),
    ("GET", "/internal/sysinfo-download", None, Some({"Platform": str, "Python": str, "Version": str})),
    ("GET", "/sd_extra_networks/metadata?page=lora&item=pen", None, {"metadata": str}),
    ("GET", "/sd_extra_networks/get-single-card?page=lora&name=pen", None, {"html": str}),
)
# What is refused here, or has nothing to show: method and path, body, status. The answer is A1111's error.
REFUSED: Final[tuple[tuple[str, str, Any, int], ...]] = (
    ("POST", "/controlnet/detect", {}, 422),
    ("POST", "/controlnet/render_openpose_json", [], 422),
    ("POST", "/sdapi/v1/interrogate", {"image": PICTURE}, 404),
    ("POST", "/sdapi/v1/create/embedding", {}, 404),
    ("POST", "/sdapi/v1/create/hypernetwork", {}, 404),
    ("POST", "/sdapi/v1/train/embedding", {}, 404),
    ("POST", "/sdapi/v1/train/hypernetwork", {}, 404),
    ("POST", "/sdapi/v1/server-restart", None, 501),
    ("GET", "/sd_extra_networks/thumb?filename=/etc/passwd", None, 404),
    ("GET", "/sd_extra_networks/cover-images?page=lora&item=pen", None, 404),
    ("POST", "/sdapi/v1/img2img", SMALL, 404),
    ("POST", "/sdapi/v1/txt2img", SMALL | {"steps": 0}, 422),
)
ERROR: Final = {"error": str, "detail": str, "body": str, "errors": str}
# Always empty here, and two that end the server.
ELSEWHERE: Final = {"/sdapi/v1/extensions", "/sdapi/v1/server-kill", "/sdapi/v1/server-stop"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    models = tmp_path / "models"
    write_checkpoint(models / "Stable-diffusion" / "demo-emoji.safetensors", "128x128")
    write_checkpoint(models / "Lora" / "pen.safetensors", "128x128")
    (tmp_path / "embeddings").mkdir()
    write_embedding(tmp_path / "embeddings" / "ink.safetensors", vectors=3, width=64)
    for place in ("VAE/a.pt", "hypernetworks/a.pt", "GFPGAN/GFPGANv1.4.pth", "RealESRGAN/RealESRGAN_x4plus.pth"):
        write_model(models / place)
    (tmp_path / "styles.csv").write_text('name,prompt,negative_prompt\nink,"ink, paper",\n', "utf-8")
    monkeypatch.setattr(real, "engine_launch", fake_launch)
    services = real.open_services(parse_flags(["--data-dir", str(tmp_path), "--api-server-stop"]))
    app = FastAPI(openapi_url=None)
    everybody: Callable[[Request], Any] = login_required([], lambda request: None)
    app.include_router(api_routes(services, everybody))
    with TestClient(app) as opened:
        yield opened
    services.close()


def different(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """Where `value` is not of `shape`."""
    match shape:
        case Each(of=of):
            inner = value if isinstance(value, dict) and value else {"": None}
            for key, one in inner.items():
                yield from different(one, of, f"{where}[{key}]")
        case Some(keys=keys):
            known = {key: one for key, one in value.items() if key in keys} if isinstance(value, dict) else value
            yield from different(known, dict(keys), where)
        case JsonText(of=of):
            yield from different(json.loads(value), of, where)
        case [of]:
            if not isinstance(value, list) or not value:
                yield f"{where} is {value!r}, no list of anything"
            else:
                for number, one in enumerate(value):
                    yield from different(one, of, f"{where}[{number}]")
        case dict():
            if not isinstance(value, dict) or set(value) != set(shape):
                yield f"{where} has {sorted(value) if isinstance(value, dict) else value!r}, not {sorted(shape)}"
            else:
                for key, of in shape.items():
                    yield from different(value[key], of, f"{where}.{key}")
        case None:
            if value is not None:
                yield f"{where} is {value!r}, not null"
        case _:
            # In JSON true is no number.
            if not isinstance(value, shape) or (isinstance(value, bool) and shape in (int, NUMBER, NUMBER_OR_NONE)):
                yield f"{where} is {value!r}, not {shape}"


def test_every_route_answers_in_a1111s_shape(client: TestClient) -> None:
    answers = {}
    wrong: list[str] = []
    for method, path, body, shape in TABLE:
        answer = client.request(method, path, json=body)
        if answer.status_code != 200:
            wrong.append(f"{path}: {answer.status_code} {answer.text}")
            continue
        answers[path] = answer.json()
        wrong += different(answers[path], shape, path)
    for script in answers["/sdapi/v1/script-info"]:
        wrong += [one for argument in script["args"] for one in different(argument, ARGUMENT, script["name"])]
    for method, path, body, status in REFUSED:
        answer = client.request(method, path, json=body)
        if answer.status_code != status:
            wrong.append(f"{path}: {answer.status_code} {answer.text}, not {status}")
        wrong += different(answer.json(), ERROR, path)
    assert wrong == []


def test_no_route_is_missing_in_the_table(client: TestClient) -> None:
    described = set(client.get("/openapi.json").json()["paths"])
    listed = {path.partition("?")[0] for _, path, *_ in (*TABLE, *REFUSED)} | ELSEWHERE
    assert {path for path in described if not path.startswith("/v1/")} == listed
    assert client.get("/sdapi/v1/extensions").json() == []


@pytest.mark.parametrize(
    ("route", "first"), [("loras", "Lora/pen.safetensors"), ("hypernetworks", "hypernetworks/a.pt")]
)
def test_networks_of_one_stem_are_listed_once(client: TestClient, tmp_path: Path, route: str, first: str) -> None:
    """A prompt can name only one of them: the last in the folders' order."""
    path = tmp_path / "models" / first
    last = path.parent / "below" / path.name
    last.parent.mkdir()
    last.write_bytes(path.read_bytes())
    listed = client.get(f"/sdapi/v1/{route}").json()
    assert [(one["name"], one["path"]) for one in listed] == [(path.stem, str(last))]


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({"a": 1}, {"a": str}),
        ({"a": 1, "b": 1}, {"a": int}),
        ([], [str]),
        ([{"a": 1}, {}], [{"a": int}]),
        (True, NUMBER),
        ({}, None),
        ({}, Each(int)),
        ("{}", JsonText({"a": int})),
    ],
)
def test_what_has_another_shape_is_found(value: Any, shape: Any) -> None:
    assert list(different(value, shape))
