"""What Gradio serves beside its own page: shown when it is a picture, else downloaded, and never run as part of us.

Gradio answers with files of the outputs, of uploads and of its cache on several routes, and a new version may add one.
So the rule is turned round: the routes that serve Gradio's own code are listed, and every other answer is sandboxed. It
also fetches addresses, both those in a path (`file=https://…`) and those that an event names as a file; which
addresses this server may fetch is a setting of the API, and the page needs none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.api.picture_answers import FILE_POLICY, PICTURE_TYPES

# Routes whose answers are Gradio's own files, by their templates. Whoever adds one makes sure that nobody's file can be
# reached by it.
OWN_ROUTES: Final = frozenset(
    {
        "/",
        "/assets/{path:path}",
        "/static/{path:path}",
        "/svelte/{path:path}",
        "/theme.css",
        "/gradio_api/theme.css",
        "/favicon.ico",
        "/robots.txt",
        "/manifest.json",
        "/pwa_icon",
        "/pwa_icon/{size}",
    }
)
# The names of its files end with a hash of what is in them: a browser that has one never needs to ask again.
_HASHED_ROUTE: Final = "/assets/{path:path}"
FOR_GOOD: Final = "public, max-age=31536000, immutable"
# What the page's scripts read. A file of such a type carries an ETag, and is downloaded all the same.
_ANSWER_TYPES: Final = frozenset({"application/json", "text/event-stream"})
# A scheme of two letters at least: "C:/pictures" is a path.
_ADDRESS: Final = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]+:[/\\]", re.IGNORECASE)
# Windows would ask another machine for these.
_SHARE: Final = re.compile(r"(=|/file/)\s*(//|\\\\)")
_FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
# Where Gradio's routes of files name one.
_FILE: Final = re.compile(r"/file[=/](.+)", re.DOTALL)
_NOT_YOURS: Final = "This is a picture of another login."
_NOT_FETCHED: Final = "This server fetches no addresses for its page: save the file here first."


class SandboxedFiles:
    """ASGI middleware around Gradio's application.

    `hides` says of a file, resolved, whether whoever sends this request may not see it; it may read from disk.
    """

    def __init__(self, app: ASGIApp, hides: Callable[[Scope, Path], bool] = lambda scope, file: False) -> None:
        self.app, self._hides = app, hides

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _ADDRESS.search(scope["path"]) or _SHARE.search(scope["path"]):
            await _refuse(send)
            return
        if (named := _FILE.search(scope["path"])) is not None and await run_sync(self._is_hidden, scope, named[1]):
            await _refuse(send, _NOT_YOURS)
            return
        if scope["method"] == "POST" and not _is_form(scope):
            body = await _read(receive)
            if _names_address(body):
                await _refuse(send)
                return
            receive = _replayed(body, receive)
        # Gradio answers a range with the request's own headers as the answer's: whole files are served instead.
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"range"]
        scope = {**scope, "headers": headers}
        await self.app(scope, receive, _sandboxed(scope, send))

    def _is_hidden(self, scope: Scope, named: str) -> bool:
        # Gradio may decode a path once more.
        files = (_resolved(text) for text in {named, unquote(named)})
        return any(self._hides(scope, file) for file in files if file is not None)


def _resolved(text: str) -> Path | None:
    try:
        return Path(text).resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def is_own_route(scope: Scope) -> bool:
    """Whether the route that answers, which the router has written into `scope`, serves Gradio's own files."""
    return _route(scope) in OWN_ROUTES


def _route(scope: Scope) -> str | None:
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def _sandboxed(scope: Scope, send: Send) -> Send:
    async def send_sandboxed(message: Message) -> None:
        if message["type"] != "http.response.start":
            await send(message)
            return
        headers = MutableHeaders(scope=message)
        if is_own_route(scope):
            if _route(scope) == _HASHED_ROUTE and message["status"] == 200:
                headers["Cache-Control"] = FOR_GOOD
        else:
            headers["Content-Security-Policy"] = FILE_POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in PICTURE_TYPES and (kind not in _ANSWER_TYPES or "etag" in headers):
                headers["Content-Disposition"] = _as_download(headers.get("content-disposition", ""))
        await send(message)

    return send_sandboxed


def _as_download(disposition: str) -> str:
    _, semicolon, name = disposition.partition(";")
    return f"attachment{semicolon}{name}"


def _is_form(scope: Scope) -> bool:
    return Headers(scope=scope).get("content-type", "").lower().startswith(_FORMS)


async def _read(receive: Receive) -> list[Message]:
    """The messages of a request's body, to be looked at and then passed on. Their size is bounded by `BodyLimit`."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    left = iter(messages)

    async def receive_again() -> Message:
        return next(left, None) or await receive()

    return receive_again


def _names_address(messages: list[Message]) -> bool:
    """Whether a JSON body names a file, as Gradio writes one, that is an address."""
    try:
        level: list[Any] = [json.loads(b"".join(message.get("body", b"") for message in messages))]
    except (ValueError, RecursionError):
        # Gradio refuses it.
        return False
    while level:
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                # Its "url" is ours, by which the browser shows the file.
                if "meta" in value and _is_address(value.get("path")):
                    return True
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = inner
    return False


def _is_address(value: object) -> bool:
    return isinstance(value, str) and _ADDRESS.match(value.strip()) is not None


async def _refuse(send: Send, why: str = _NOT_FETCHED) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
