"""What is done to pictures of the gallery: marked, trashed and restored, moved, copied, renamed, packed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from modules.api.http_errors import ApiRoute
from modules.api.picture_answers import Ids, PictureItem, looker_of, outcome_item, picture_items
from modules.api.viewer import ByLogin
from modules.gallery.index.records import IndexedPicture, Looker

if TYPE_CHECKING:
    from modules.gallery.index.service import PictureIndex
    from modules.jobs.services import Services

_CHUNK: Final = 2**20
Tag = Annotated[str, Field(min_length=1, max_length=200)]


class Chosen(BaseModel):
    """Pictures by their ids."""

    ids: Ids


class MarksBody(Chosen):
    """What is left out stays as it is. A rating of 0 is none."""

    rating: Annotated[int | None, Field(ge=0, le=5)] = None
    favourite: bool | None = None
    add_tags: Annotated[list[Tag], Field(max_length=100)] | None = None
    remove_tags: Annotated[list[Tag], Field(max_length=100)] | None = None


class Marked(BaseModel):
    """The pictures as they are marked now; `not_in_file` says of each file that could not take its rating why not."""

    pictures: list[PictureItem]
    not_in_file: dict[str, str] = {}


class ToFolder(Chosen):
    """`folder` is the id of one of the facets' folders."""

    folder: Annotated[str, Field(max_length=60)]


class Renaming(Chosen):
    """`pattern` is one of A1111's: [datetime]-[seed]."""

    pattern: Annotated[str, Field(min_length=1, max_length=500)]


class Packing(BaseModel):
    """What goes into one archive."""

    ids: Annotated[list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=2000)]


def picture_change_routes(services: Services) -> APIRouter:
    """Every answer but that of marks names what was done, and says of each other picture why not."""
    router = APIRouter(prefix="/v1/pictures", route_class=ApiRoute, tags=["pictures"])
    _marking(router, services)
    _trashing(router, services)
    _moving(router, services)
    return router


def _marking(router: APIRouter, services: Services) -> None:
    index = services.index
    of = looker_of(services)

    @router.post("/marks")
    def marks(body: MarksBody, viewer: ByLogin) -> Marked:
        """Rate pictures, make them favourites, tag them."""
        pictures = index.find_all(body.ids, of(viewer))
        index.marks.mark(
            [picture.content for picture in pictures],
            rating=body.rating,
            favourite=body.favourite,
            add_tags=body.add_tags or (),
            remove_tags=body.remove_tags or (),
        )
        refused: dict[str, str] = {}
        if body.rating is not None:
            outcome = index.actions.write_ratings(index.find_all(body.ids, of(viewer)))
            refused = {index.id_of(row): why for row, why in outcome.refused.items()}
        return Marked(pictures=picture_items(index, index.find_all(body.ids, of(viewer))), not_in_file=refused)


def _trashing(router: APIRouter, services: Services) -> None:
    index, actions = services.index, services.index.actions
    of = looker_of(services)

    @router.post("/trash")
    def trash(body: Chosen, viewer: ByLogin) -> dict[str, Any]:
        """Move pictures to the trash."""
        pictures, unknown = _found(index, body.ids, of(viewer))
        return outcome_item(index, "trashed", actions.trash(pictures), unknown)

    @router.post("/restore")
    def restore(body: Chosen, viewer: ByLogin) -> dict[str, Any]:
        """Bring pictures back from the trash."""
        pictures, unknown = _found(index, body.ids, of(viewer))
        return outcome_item(index, "restored", actions.restore(pictures), unknown)

    @router.post("/empty-trash")
    def empty_trash(viewer: ByLogin) -> dict[str, Any]:
        """Delete from disk what lies in the trash: of very many the first ones now, and `later` more in idle time."""
        outcome, later = index.empty_trash(of(viewer))
        return {**outcome_item(index, "deleted", outcome), "later": later}


def _moving(router: APIRouter, services: Services) -> None:
    index, actions = services.index, services.index.actions
    of = looker_of(services)

    @router.post("/move")
    def move(body: ToFolder, viewer: ByLogin) -> dict[str, Any]:
        """Move pictures to a folder of the gallery; a name that is taken there gets a number."""
        pictures, unknown = _found(index, body.ids, of(viewer))
        return outcome_item(index, "moved", actions.move(pictures, body.folder), unknown)

    @router.post("/copy")
    def copy(body: ToFolder, viewer: ByLogin) -> dict[str, Any]:
        """Copy pictures to a folder of the gallery; the ids in the answer are those of the originals."""
        pictures, unknown = _found(index, body.ids, of(viewer))
        return outcome_item(index, "copied", actions.copy(pictures, body.folder), unknown)

    @router.post("/rename")
    def rename(body: Renaming, viewer: ByLogin) -> dict[str, Any]:
        """Name pictures by a pattern; a name that is taken gets a number."""
        pictures, unknown = _found(index, body.ids, of(viewer))
        return outcome_item(index, "renamed", actions.rename(pictures, body.pattern), unknown)

    @router.post("/zip")
    def pack(body: Packing, viewer: ByLogin) -> StreamingResponse:
        """An archive of pictures as they are."""
        pictures = index.find_all(body.ids, of(viewer))
        services.paths.cache_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile(dir=services.paths.cache_dir))
            actions.zip(pictures, file)
            # Closed by whoever sends it.
            stack.pop_all()
        headers = {"Content-Disposition": 'attachment; filename="pictures.zip"', "X-Content-Type-Options": "nosniff"}
        return StreamingResponse(_chunks(file), media_type="application/zip", headers=headers)


def _found(index: PictureIndex, ids: list[str], looker: Looker) -> tuple[list[IndexedPicture], list[str]]:
    """The pictures that are there, and the ids of the others."""
    found = index.find_some(ids, looker)
    return list(found.values()), [one for one in dict.fromkeys(ids) if one not in found]


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk
