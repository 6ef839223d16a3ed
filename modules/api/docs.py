"""The API's description and a page to try it, without anything from the internet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import fastapi_offline
from fastapi import APIRouter, HTTPException, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

# FastAPI's own pages load their scripts from a content network, which the content policy forbids, and which a machine
# without internet has not. This package brings the same scripts along.
_ASSETS: Final = Path(fastapi_offline.__file__).parent / "static"
_NAMES: Final = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png")


def docs_routes() -> APIRouter:
    """/docs, /redoc and /openapi.json. They are routes, not FastAPI's built-in ones, so that a login covers them."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    def openapi(request: Request) -> dict[str, Any]:
        described: dict[str, Any] = request.app.openapi()
        return described

    @router.get("/docs")
    def swagger(request: Request) -> HTMLResponse:
        root = _root(request)
        return get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title="API",
            swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/assets/favicon.png",
        )

    @router.get("/redoc")
    def redoc(request: Request) -> HTMLResponse:
        root = _root(request)
        return get_redoc_html(
            openapi_url=f"{root}/openapi.json",
            title="API",
            redoc_js_url=f"{root}/docs/assets/redoc.standalone.js",
            redoc_favicon_url=f"{root}/docs/assets/favicon.png",
            with_google_fonts=False,
        )

    @router.get("/docs/assets/{name}")
    def asset(name: str) -> FileResponse:
        if name not in _NAMES:
            raise HTTPException(404, "There is no such file.")
        return FileResponse(_ASSETS / name, headers={"Cache-Control": "private, max-age=86400"})

    return router


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
