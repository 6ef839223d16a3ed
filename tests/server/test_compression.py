"""The page travels compressed, and nothing but the page does."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from fastapi.testclient import TestClient

from modules.server.compression import CompressedPage

LONG = b"a component of the page, " * 400


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.add_middleware(CompressedPage)

    async def events() -> AsyncIterator[bytes]:
        yield LONG

    @app.get("/assets/packed.js")
    async def packed() -> Response:
        return Response(gzip.compress(LONG), headers={"Content-Encoding": "gzip"}, media_type="text/javascript")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/{path:path}")
    async def long(path: str) -> Response:
        return Response(LONG, media_type="text/html")

    return TestClient(app)


@pytest.mark.parametrize("path", ["/", "/assets/core.js", "/internal/assets/main.js"])
def test_document_and_scripts_are_compressed_for_who_can_read_that(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and answer.content == LONG
    assert int(answer.headers["content-length"]) < len(LONG) / 10
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == LONG


@pytest.mark.parametrize("path", ["/sdapi/v1/options", "/stream", "/internal/page", "/file=/assets/picture.png"])
def test_nothing_else_is(client: TestClient, path: str) -> None:
    assert "content-encoding" not in client.get(path, headers={"Accept-Encoding": "gzip"}).headers


def test_what_is_compressed_already_stays_as_it_is(client: TestClient) -> None:
    assert client.get("/assets/packed.js", headers={"Accept-Encoding": "gzip"}).content == LONG


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_document_that_a_browser_has_travels_no_second_time(client: TestClient, encoding: str) -> None:
    first = client.get("/", headers={"Accept-Encoding": encoding})
    known = {"Accept-Encoding": encoding, "If-None-Match": f'"another", {first.headers["etag"]}'}
    again = client.get("/", headers=known)
    assert (again.status_code, again.content) == (304, b"") and again.headers["etag"] == first.headers["etag"]
    assert "no-cache" in first.headers["cache-control"]
    other = client.get("/", headers=known | {"If-None-Match": 'W/"0"'})
    assert other.status_code == 200 and other.content == LONG


def test_other_answers_carry_no_tag(client: TestClient) -> None:
    assert "etag" not in client.get("/sdapi/v1/options").headers
    assert "etag" not in client.post("/").headers
