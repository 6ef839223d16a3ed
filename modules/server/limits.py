"""How large a request may be, held while it is read: what is too large is never in memory as a whole."""

from __future__ import annotations

import json
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.server.subpath import path_within

MEBIBYTE: Final = 2**20
# A picture of 32 megapixels of noise, or one of 64 as photographs compress, in base64.
LARGEST_BODY: Final = 128 * MEBIBYTE
# At these paths and below them another limit holds. Uploads are files, which Gradio counts on its own.
_LIMITS: Final = (
    ("/gradio_api/upload", 1024 * MEBIBYTE),
    ("/internal/pictures", 256 * MEBIBYTE),
    # The header of a model file, and a piece of one.
    ("/internal/models", 128 * MEBIBYTE),
    ("/internal", MEBIBYTE),
)


def largest_body(path: str) -> int:
    """The bytes that a request to `path`, without --subpath, may have."""
    return next((limit for top, limit in _LIMITS if path == top or path.startswith(f"{top}/")), LARGEST_BODY)


class BodyLimit:
    """ASGI middleware: 413 with a sentence, at once where the length is announced, else once it is exceeded."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = largest_body(path_within(scope))
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            await _refuse(send, limit)
        else:
            await self.app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def receive_counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, _sentence(limit))
        return message

    return receive_counted


def _sentence(limit: int) -> str:
    return f"The request is too large: at most {limit // MEBIBYTE} MiB are taken here."


async def _refuse(send: Send, limit: int) -> None:
    body = json.dumps({"error": "HTTPException", "detail": _sentence(limit), "body": "", "errors": ""}).encode()
    # Without closing, a client would go on sending what nobody reads.
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
