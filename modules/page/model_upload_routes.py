"""Routes for model files that are dropped on the page: looked at, then taken in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, HTTPException, Query, Request

from modules.downloads import DownloadError
from modules.downloads.uploads import Dropped
from modules.settings.logins import logins

if TYPE_CHECKING:
    from modules.jobs.services import Services

FileName = Annotated[str, Query(max_length=1000)]
FileSize = Annotated[int, Query(ge=1, le=2**46)]
Mark = Annotated[str, Query(max_length=40)]


def model_upload_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """The routes under /internal/models. A refusal is one sentence."""

    def allowed() -> None:
        if services.flags.exposed and not logins(services.flags):
            raise HTTPException(403, "Models are taken from people with a login only: start with --gradio-auth.")

    router = APIRouter(
        prefix="/internal/models", dependencies=[Depends(logged_in), Depends(allowed)], include_in_schema=False
    )

    @router.post("/look")
    async def look(request: Request, name: FileName, size: FileSize, mark: Mark) -> dict[str, Any]:
        beginning = await request.body()
        return await run_sync(_looked, services, Dropped(name, size, mark), beginning)

    @router.post("/piece")
    async def piece(
        request: Request, name: FileName, size: FileSize, mark: Mark, offset: Annotated[int, Query(ge=0, le=2**46)]
    ) -> dict[str, Any]:
        data = await request.body()
        return await run_sync(_written, services, Dropped(name, size, mark), offset, data)

    return router


def _looked(services: Services, dropped: Dropped, beginning: bytes) -> dict[str, Any]:
    try:
        looked = services.uploads.look(dropped, beginning)
    except DownloadError as error:
        raise HTTPException(422, str(error)) from error
    return {
        "kind": looked.kind,
        "family": looked.family,
        "folder": str(looked.folder),
        "received": looked.received,
    }


def _written(services: Services, dropped: Dropped, offset: int, data: bytes) -> dict[str, Any]:
    try:
        piece = services.uploads.write(dropped, offset, data)
    except DownloadError as error:
        raise HTTPException(422, str(error)) from error
    return {"received": piece.received, "kind": piece.kind, "done": piece.path is not None}
