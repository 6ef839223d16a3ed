"""Routes with which the person at this machine allows one more of its folders."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from modules.files import SaveError
from modules.gallery.allowed_folders import FolderError

if TYPE_CHECKING:
    from modules.jobs.services import Services


class FolderBody(BaseModel):
    """A folder by its whole path."""

    folder: Annotated[str, Field(max_length=4096)]


def folder_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """The route that allows a folder. A refusal is one sentence."""
    router = APIRouter(prefix="/internal/folders", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.post("")
    def allow(body: FolderBody) -> dict[str, str]:
        try:
            services.folders.allow(body.folder)
        except (FolderError, SaveError) as error:
            raise HTTPException(422, str(error)) from error
        return {}

    return router
