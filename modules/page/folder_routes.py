"""Routes with which the person at this machine allows one more of its folders, and opens that of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from modules.files import SaveError
from modules.gallery.allowed_folders import FolderError
from modules.gallery.index.errors import UnknownPicture
from modules.page.open_folder import folder_button, open_folder

if TYPE_CHECKING:
    from modules.jobs.services import Services


class FolderBody(BaseModel):
    """A folder by its whole path."""

    folder: Annotated[str, Field(max_length=4096)]


class PictureBody(BaseModel):
    """A picture of the gallery by its id."""

    picture: Annotated[str, Field(max_length=60)]


def folder_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """The routes that allow a folder and open one. A refusal is one sentence."""
    router = APIRouter(prefix="/internal/folders", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.post("")
    def allow(body: FolderBody) -> dict[str, str]:
        try:
            services.folders.allow(body.folder)
        except (FolderError, SaveError) as error:
            raise HTTPException(422, str(error)) from error
        return {}

    @router.post("/open")
    def open_of_picture(body: PictureBody) -> dict[str, str]:
        if not (services.flags.alone and folder_button(services.flags)):
            raise HTTPException(403, "A folder is opened only for the person at this machine.")
        try:
            refusal = open_folder(services.index.find(body.picture).path.parent)
        except UnknownPicture as error:
            raise HTTPException(404, "The picture is not there any more.") from error
        if refusal:
            raise HTTPException(422, refusal)
        return {}

    return router
