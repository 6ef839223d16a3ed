"""The Gradio page behind the application: built at start, and built anew by Reload UI while the server goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from modules.page.layout import layout_of
from modules.server.gradio_files import SandboxedFiles

# Makes an application that holds nothing but the page, mounted on "/".
BuildPage = Callable[[], FastAPI]
# Gradio collects the components of the page being built in one place for the whole process.
_BUILDING: Final = threading.Lock()


class PageHost:
    """An ASGI application that passes every request to the page as it is now.

    `layout` names what the page is made of: a browser whose page was built from something else has to load it again,
    since Gradio addresses components and events by their numbers. `hides` says of a login and a file, resolved, whether
    that login may not see it.
    """

    def __init__(self, build: BuildPage, hides: Callable[[str | None, Path], bool]) -> None:
        self._build, self._hides_from = build, hides
        self._holder, self.layout = self._built()
        self._served = contextlib.AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await SandboxedFiles(self.page, self._hides)(scope, receive, send)

    def _hides(self, scope: Scope, file: Path) -> bool:
        return self._hides_from(self.user(Request(scope)), file)

    @property
    def page(self) -> gr.routes.App:
        """Gradio's application."""
        return _page_of(self._holder)

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """What Gradio starts and ends with the server."""
        await self._enter(self._holder)
        try:
            yield
        finally:
            await self._served.aclose()

    async def rebuild(self) -> None:
        """Build the page anew, and serve it once it is there; whoever is logged in stays so."""
        holder, layout = await run_in_threadpool(self._built)
        before, after = self.page, _page_of(holder)
        after.tokens, after.cookie_id = before.tokens, before.cookie_id
        await self._enter(holder)
        self._holder, self.layout = holder, layout

    def user(self, request: Request) -> str | None:
        """Whom Gradio's login cookie belongs to: the page and its routes share one login."""
        names = (f"access-token-{self.page.cookie_id}", f"access-token-unsecure-{self.page.cookie_id}")
        token = next((request.cookies[name] for name in names if name in request.cookies), None)
        found: str | None = self.page.tokens.get(token)
        return found

    def _built(self) -> tuple[FastAPI, str]:
        with _BUILDING:
            holder = self._build()
        return holder, layout_of(_page_of(holder).get_blocks())

    async def _enter(self, holder: FastAPI) -> None:
        # A page that was replaced ends with the server only: a browser may still be reading from it.
        await self._served.enter_async_context(_lifespan_of(holder))


def _page_of(holder: FastAPI) -> gr.routes.App:
    applications = (getattr(route, "app", None) for route in holder.routes)
    return next(mounted for mounted in applications if isinstance(mounted, gr.routes.App))


def _lifespan_of(holder: FastAPI) -> contextlib.AbstractAsyncContextManager[Any]:
    return holder.router.lifespan_context(holder)
