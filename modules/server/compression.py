"""What makes up the page travels compressed: its document is nearly a megabyte of Gradio's configuration.

Nothing else does. Pictures are compressed as they are, answers of the API are large and mostly for programs on the same
machine, and a stream of events has to go out as it comes.
"""

from __future__ import annotations

from typing import Final

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from modules.server.document_tag import DocumentTag, is_the_document, path_of

# Of the page itself, by the beginnings of their paths: Gradio's scripts and ours.
_FILES: Final = ("/assets/", "/internal/assets/")
_SMALLEST: Final = 1000  # bytes


class CompressedPage:
    """ASGI middleware that compresses the page's document and scripts for browsers that can read that.

    A document that the browser has already doesn't travel at all.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        # Level 6 takes 20 ms for the document, 9 four times as long for one percent less.
        self._compressed = GZipMiddleware(DocumentTag(app), minimum_size=_SMALLEST, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._compressed if _is_of_the_page(scope) else self._plain)(scope, receive, send)


def _is_of_the_page(scope: Scope) -> bool:
    if is_the_document(scope):
        return True
    return scope["type"] == "http" and scope["method"] == "GET" and path_of(scope).startswith(_FILES)
