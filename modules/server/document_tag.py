"""The page's document travels again only when it changed: browsers that have it name its tag, and get 304."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class DocumentTag:
    """ASGI middleware that gives an ETag (RFC 9110, 8.8.3) to the page's document; other answers pass as they are.

    The tag is a weak one, made from the text: compressed and plain it is the same document. A document differs by
    settings, version and who is logged in, and so does its tag.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_the_document(scope):
            await self._app(scope, receive, send)
            return
        start: MutableMapping[str, Any] = {}
        body = bytearray()

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                start.update(message)
            elif not start:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _send_tagged(start, bytes(body), Headers(scope=scope).get("if-none-match", ""), send)

        await self._app(scope, receive, hold)


def is_the_document(scope: Scope) -> bool:
    """Whether a browser fetches the page itself."""
    return scope["type"] == "http" and scope["method"] == "GET" and path_of(scope) in ("", "/")


def path_of(scope: Scope) -> str:
    """The path of a request without the prefix that a proxy passes on."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _send_tagged(start: MutableMapping[str, Any], body: bytes, known: str, send: Send) -> None:
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = MutableHeaders(raw=list(start["headers"]))
    headers["ETag"], headers["Cache-Control"] = tag, "no-cache"
    status = 304 if tag in (one.strip() for one in known.split(",")) else 200
    if status == 304:
        for name in ("content-length", "content-type"):
            del headers[name]
        body = b""
    await send({**start, "status": status, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})
