"""Boards, saved searches, and the prompts that were used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from modules.api.http_errors import ApiRoute
from modules.api.picture_answers import Ids, NamedEntry, PictureItem, iso, looker_of, picture_items
from modules.api.pictures import CountedEntry, Offset, SearchText
from modules.api.viewer import ByLogin
from modules.gallery.index.query import LONGEST

if TYPE_CHECKING:
    from modules.jobs.services import Services

ShortName = Annotated[str, Field(min_length=1, max_length=200)]


class NameBody(BaseModel):
    """How a board is called."""

    name: ShortName


class Pinned(BaseModel):
    """Pictures that are laid on a board, or with `remove` taken off it."""

    ids: Ids
    remove: bool = False


class SavedSearch(BaseModel):
    """A search with a name."""

    name: ShortName
    q: Annotated[str, Field(max_length=LONGEST)]


class SearchItem(SavedSearch):
    """A saved search."""

    id: str


class PromptItem(BaseModel):
    """A prompt of the history; `last` is null for a favourite that has no picture any more."""

    id: str
    prompt: str
    negative_prompt: str
    count: int
    last: str | None
    favourite: bool
    pictures: list[PictureItem]


class PromptPage(BaseModel):
    """A stretch of the history."""

    total: int
    prompts: list[PromptItem]


class Favour(BaseModel):
    """Whether a prompt is a favourite."""

    favourite: bool


def board_routes(services: Services) -> APIRouter:
    """Everything about pictures that is no picture."""
    router = APIRouter(prefix="/v1", route_class=ApiRoute, tags=["pictures"])
    _boards(router, services)
    _searches(router, services)
    _prompts(router, services)
    return router


def _boards(router: APIRouter, services: Services) -> None:
    index = services.index
    of = looker_of(services)

    @router.get("/boards")
    def boards(viewer: ByLogin) -> list[CountedEntry]:
        """All boards with the number of their pictures, the oldest first."""
        return [CountedEntry(id=one.id, name=one.name, count=one.count) for one in index.search.boards(of(viewer))]

    @router.post("/boards")
    def add_board(body: NameBody) -> NamedEntry:
        board = index.marks.add_board(body.name)
        return NamedEntry(id=board.id, name=board.name)

    @router.patch("/boards/{board_id}")
    def rename_board(board_id: str, body: NameBody) -> NamedEntry:
        board = index.marks.rename_board(board_id, body.name)
        return NamedEntry(id=board.id, name=board.name)

    @router.delete("/boards/{board_id}")
    def remove_board(board_id: str) -> dict[str, Any]:
        """Remove a board. Its pictures stay where they are."""
        index.marks.remove_board(board_id)
        return {}

    @router.post("/boards/{board_id}/pictures")
    def pin(board_id: str, body: Pinned, viewer: ByLogin) -> dict[str, Any]:
        """Lay pictures on a board, or take them off."""
        contents = [picture.content for picture in index.find_all(body.ids, of(viewer))]
        index.marks.pin(board_id, contents, remove=body.remove)
        return {}


def _searches(router: APIRouter, services: Services) -> None:
    marks = services.index.marks

    @router.get("/searches")
    def searches() -> list[SearchItem]:
        """Saved searches, the oldest first."""
        return [SearchItem(id=one.id, name=one.name, q=one.q) for one in marks.searches()]

    @router.post("/searches")
    def add_search(body: SavedSearch) -> SearchItem:
        search = marks.add_search(body.name, body.q)
        return SearchItem(id=search.id, name=search.name, q=search.q)

    @router.delete("/searches/{search_id}")
    def remove_search(search_id: str) -> dict[str, Any]:
        marks.remove_search(search_id)
        return {}


def _prompts(router: APIRouter, services: Services) -> None:
    index = services.index
    of = looker_of(services)

    @router.get("/prompts")
    def prompts(
        viewer: ByLogin,
        q: SearchText = "",
        favourites: bool = False,
        limit: Annotated[int, Query(ge=0, le=200)] = 50,
        offset: Offset = 0,
    ) -> PromptPage:
        """Prompts with their pictures, the one that was used last first."""
        total, found = index.prompts.entries(q, favourites=favourites, limit=limit, offset=offset, looker=of(viewer))
        return PromptPage(
            total=total,
            prompts=[
                PromptItem(
                    id=one.id,
                    prompt=one.prompt,
                    negative_prompt=one.negative,
                    count=one.count,
                    last=None if one.last is None else iso(one.last),
                    favourite=one.favourite,
                    pictures=picture_items(index, one.pictures),
                )
                for one in found
            ],
        )

    @router.post("/prompts/{prompt_id}")
    def favour(prompt_id: str, body: Favour) -> dict[str, Any]:
        """Make a prompt a favourite, or none any more."""
        index.prompts.favour(prompt_id, body.favourite)
        return {}
