"""What has to stand in the page's document itself: Gradio puts the rest into the head when its own scripts run."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD: Final = b"<head>"


class EarlyHead:
    """ASGI middleware that puts `markup` at the front of the head of every HTML document of `app`.

    It has to be the innermost: what is around it may compress the answer.
    """

    def __init__(self, app: ASGIApp, markup: str) -> None:
        self.app = app
        self._head = _HEAD + markup.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        held: Message | None = None
        body = b""

        async def send_with_head(message: Message) -> None:
            nonlocal held, body
            if message["type"] == "http.response.start" and _is_document(message):
                held = message
            elif held is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if message.get("more_body", False):
                    return
                body = body.replace(_HEAD, self._head, 1)
                MutableHeaders(scope=held)["content-length"] = str(len(body))
                await send(held)
                await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, send_with_head)


def _is_document(message: Message) -> bool:
    kind = MutableHeaders(scope=message).get("content-type", "")
    return bool(message["status"] == 200 and kind.startswith("text/html"))
