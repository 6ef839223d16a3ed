"""What is put into the head of the page's document before it is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message

from modules.page.early_markup import early_markup
from modules.server.early_head import EarlyHead


def answered(kind: str, *parts: bytes, method: str = "GET", status: int = 200) -> tuple[dict[str, str], bytes]:
    """Headers and body of an application's answer behind the middleware, sent in `parts`."""
    sent: list[Message] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind.encode()), (b"content-length", str(sum(map(len, parts))).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method}
    asyncio.run(EarlyHead(application, "<i></i>")(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return headers, b"".join(message["body"] for message in sent[1:])


def test_a_document_gets_it_first_and_states_its_new_length() -> None:
    headers, body = answered("text/html; charset=utf-8", b"<html><he", b"ad><title></title></head><head></html>")
    assert body == b"<html><head><i></i><title></title></head><head></html>"
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("kind", "method", "status"), [("text/plain", "GET", 200), ("text/html", "GET", 404), ("text/html", "POST", 200)]
)
def test_every_other_answer_passes_as_it_is(kind: str, method: str, status: int) -> None:
    headers, body = answered(kind, b"<he", b"ad>", method=method, status=status)
    assert (body, headers["content-length"]) == (b"<head>", "6")


def test_the_flag_is_given_to_the_script_that_chooses_the_theme() -> None:
    assert '<script data-theme="dark">' in early_markup("dark")
    assert '<script data-theme="">' in early_markup(None) == early_markup('"></script>')
