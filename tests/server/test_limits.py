"""What is too large or too deep is refused in a sentence, before it costs anything, and the server goes on."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import ValidationError
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from modules.api.bodies import MAXIMUM_DEPTH, Txt2ImgBody
from modules.server.limits import LARGEST_BODY, MEBIBYTE, BodyLimit, largest_body
from modules.server.subpath import Subpath
from tests.amounts import some
from tests.api.conftest import b64
from tests.server.server import Server

FAKE = "tests.server.fake_engine_server"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("limits")
    (data / "config.json").write_text(json.dumps({"queue_waiting_limit": 3}))
    with Server(data, module=FAKE) as running:
        yield running


@pytest.fixture
def api(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, verify=False, timeout=60) as client:
        yield client


@pytest.mark.server
@pytest.mark.parametrize(
    ("path", "size"),
    some([("/sdapi/v1/txt2img", LARGEST_BODY + 1), ("/internal/progress", MEBIBYTE + 1), ("/x", 2**62)], 1),
)
def test_a_body_announced_too_large_is_refused_before_it_is_sent(server: Server, path: str, size: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {size}\r\n\r\n".encode()
        )
        answer = b""
        while chunk := line.recv(65536):
            answer += chunk
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"MiB" in answer


@pytest.mark.server
@pytest.mark.parametrize("path", ["/internal/progress", "/v1/jobs/x/cancel"])
def test_a_body_that_does_not_tell_its_size_is_counted(api: httpx.Client, path: str) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(48):
            yield b'{"id_task": "' + b"x" * 65536

    # The server may answer and close before all is sent.
    with contextlib.suppress(httpx.WriteError):
        assert api.post(path, content=parts(), headers={"Content-Type": "application/json"}).status_code in (404, 413)
    assert api.get("/internal/ping").status_code == 200


def test_only_pictures_may_be_large() -> None:
    assert largest_body("/internal/progress") < largest_body("/sdapi/v1/img2img") <= largest_body("/gradio_api/upload")


def test_limits_hold_under_a_subpath_whichever_way_the_proxy_passes_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("in")(scope, receive, send)

    client = TestClient(Subpath(BodyLimit(app), "/sd"))
    too_large = b"x" * (MEBIBYTE + 1)
    for path in ("/internal/progress", "/sd/internal/progress"):
        assert client.post(path, content=too_large).status_code == 413, path
    for path in ("/internal/pictures", "/sd/internal/pictures", "/sd/gradio_api/upload", "/internals", "/sd/internals"):
        assert client.post(path, content=too_large).status_code == 200, path


def test_what_is_no_http_is_passed_on() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def unused(*_: Any) -> Any:
        raise AssertionError("nothing is received or sent")

    # Not asyncio.run: Playwright keeps a loop running in the thread of a process that tested the page before.
    with pytest.raises(StopIteration):
        BodyLimit(app)({"type": "lifespan"}, unused, unused).send(None)
    assert seen == ["lifespan"]


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("field", ["alwayson_scripts", "override_settings", "comments"])
def test_json_is_taken_to_a_depth(field: str) -> None:
    assert Txt2ImgBody.model_validate({field: {"a": nested(MAXIMUM_DEPTH - 1)}})
    for depth in (MAXIMUM_DEPTH + 1, 100, 5000):
        with pytest.raises((ValidationError, RecursionError), match=r"nested deeper|[Rr]ecursion"):
            Txt2ImgBody.model_validate({field: {"a": nested(depth)}})


@pytest.mark.server
@pytest.mark.parametrize("depth", [50, 250, 900, 5000])
@pytest.mark.parametrize("path", ["/sdapi/v1/txt2img", "/sdapi/v1/options", "/v1/jobs/txt2img"])
def test_deep_json_is_refused(api: httpx.Client, path: str, depth: int) -> None:
    body = '{"alwayson_scripts": {"a": ' + "[" * depth + "]" * depth + "}}"
    answer = api.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text[:200]


@pytest.mark.server
@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/sdapi/v1/txt2img", r'{"override_settings": {"\ud83d": 1}}', "surrogate"),
        ("/sdapi/v1/txt2img", r'{"alwayson_scripts": {"\udE00": {"args": [1]}}}', "surrogate"),
        ("/sdapi/v1/options", r'{"samples_filename_pattern": "\ud83d"}', "surrogate"),
        ("/v1/jobs/img2img", r'{"infotext": "\ude00\ud83d"}', "surrogate"),
        ("/sdapi/v1/txt2img", '{"override_settings": {"eta_ancestral": NaN}}', "NaN"),
        ("/sdapi/v1/txt2img", '{"script_args": [-Infinity]}', "Infinity"),
    ],
)
def test_what_no_json_could_hold_is_refused(api: httpx.Client, path: str, body: str, word: str) -> None:
    answer = api.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert word in answer.json()["detail"]


@pytest.mark.server
def test_a_character_in_two_halves_is_one(api: httpx.Client) -> None:
    body = r'{"prompt": "a \ud83d\ude00 cat", "width": 64, "height": 64, "steps": 1}'
    answer = api.post("/sdapi/v1/txt2img", content=body, headers={"Content-Type": "application/json"})
    assert json.loads(answer.json()["info"])["prompt"] == "a 😀 cat"


@pytest.mark.server
@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": "x" * 1_000_001}, "Prompt"),
        ({"batch_size": 65}, "Batch size"),
        ({"n_iter": 1001}, "Batch count"),
        ({"steps": 1001}, "steps"),
        ({"width": 8200}, "Width"),
        ({"styles": ["x"] * 1001}, "styles"),
        ({"styles": ["x" * 1001]}, "styles"),
        ({"force_task_id": "x" * 201}, "force_task_id"),
        ({"sampler_name": "x" * 5_000_000}, "sampler_name"),
        ({"scheduler": "x" * 5_000_000}, "scheduler"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_fields_have_bounds(api: httpx.Client, fields: dict[str, Any], word: str) -> None:
    answer = api.post("/sdapi/v1/txt2img", json={"width": 64, "height": 64, "steps": 1} | fields)
    assert answer.status_code == 422
    assert word in answer.text
    assert len(answer.content) < 2000


@pytest.mark.server
def test_a_picture_of_too_many_pixels_or_none_is_refused(api: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    for picture, word in ((b64(buffer.getvalue()), "megapixels"), ("%%%", "can't be read"), ("A", "base64")):
        answer = api.post("/sdapi/v1/img2img", json={"init_images": [picture], "steps": 1})
        assert answer.status_code == 422
        assert word in answer.json()["detail"]
    many = api.post("/sdapi/v1/img2img", json={"init_images": ["x"] * 65})
    assert many.status_code == 422


@pytest.mark.server
def test_a_full_queue_says_so(api: httpx.Client) -> None:
    slow = {"prompt": "a slow cat", "steps": 500, "width": 64, "height": 64}
    answers = [api.post("/v1/jobs/txt2img", json=slow) for _ in range(6)]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused
    assert {answer.status_code for answer in refused} == {503}
    assert "3" in refused[0].json()["detail"]
    for job in api.get("/v1/jobs").json():
        api.post(f"/v1/jobs/{job['id']}/cancel")
