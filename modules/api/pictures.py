"""The gallery's pictures: searched, shown, and what a search may be narrowed by. Changes are in `picture_changes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel

from modules.api.http_errors import ApiRoute
from modules.api.picture_answers import (
    IndexingItem,
    PictureDetail,
    PictureItem,
    PicturePage,
    SimilarItem,
    looker_of,
    picture_detail,
    picture_file,
    picture_items,
    similar_item,
    thumbnail_file,
)
from modules.api.viewer import ByLogin
from modules.gallery.index.query import LONGEST
from modules.gallery.index.records import Counted, Indexing, Sort

if TYPE_CHECKING:
    from modules.jobs.services import Services

# Thumbnails are made by this many threads: the others answer everybody else.
_MAKERS: Final = 3
SearchText = Annotated[str, Query(max_length=LONGEST)]
Offset = Annotated[int, Query(ge=0, le=100_000_000)]


class Day(BaseModel):
    """How many pictures a day has."""

    day: str
    count: int


class NamedCount(BaseModel):
    """A model or tag with the number of its pictures."""

    name: str
    count: int


class CountedEntry(NamedCount):
    """A folder or board with the number of its pictures."""

    id: str


class FacetLists(BaseModel):
    """What the pictures of a search can be narrowed by."""

    folders: list[CountedEntry]
    models: list[NamedCount]
    tags: list[NamedCount]
    boards: list[CountedEntry]


class CompletionItem(BaseModel):
    """`text` goes in place of what stands from `start` to `end` of the search."""

    text: str
    label: str
    count: int
    start: int
    end: int


def picture_routes(services: Services) -> APIRouter:
    """Everything that only reads."""
    router = APIRouter(prefix="/v1/pictures", route_class=ApiRoute, tags=["pictures"])
    _lists(router, services)
    _one(router, services)
    return router


def _lists(router: APIRouter, services: Services) -> None:
    index = services.index
    of = looker_of(services)

    @router.get("")
    def search(
        viewer: ByLogin,
        q: SearchText = "",
        sort: Sort = "newest",
        stack: bool = False,
        offset: Offset = 0,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
        limit: Annotated[int, Query(ge=0, le=500)] = 100,
    ) -> PicturePage:
        """The pictures that a search finds: `offset` for any place of the list, `cursor` for the next page of it."""
        index.look()
        page = index.search.page(q, sort, stack=stack, offset=offset, cursor=cursor, limit=limit, looker=of(viewer))
        return PicturePage(
            total=page.total,
            pictures=picture_items(index, page.pictures),
            cursor=page.cursor,
            explained=page.explained,
            indexing=_indexing(index.indexing()),
        )

    @router.get("/timeline")
    def timeline(viewer: ByLogin, q: SearchText = "") -> list[Day]:
        """Days with the number of their pictures, newest first."""
        return [Day(day=day, count=count) for day, count in index.search.timeline(q, of(viewer))]

    @router.get("/facets")
    def facets(viewer: ByLogin, q: SearchText = "") -> FacetLists:
        """Folders, models, tags and boards of a search's pictures."""
        found = index.search.facets(q, of(viewer))
        return FacetLists(
            folders=[_counted(one) for one in found.folders],
            models=[NamedCount(name=one.name, count=one.count) for one in found.models],
            tags=[NamedCount(name=one.name, count=one.count) for one in found.tags],
            boards=[_counted(one) for one in found.boards],
        )

    @router.get("/fields")
    def fields(q: SearchText = "", at: Annotated[int | None, Query(ge=0, le=LONGEST)] = None) -> list[CompletionItem]:
        """What may stand at place `at` of a search that is being typed; without it, at its end."""
        return [
            CompletionItem(text=one.text, label=one.label, count=one.count, start=one.start, end=one.end)
            for one in index.complete(q, len(q) if at is None else at)
        ]

    @router.get("/duplicates")
    def duplicates(viewer: ByLogin) -> list[list[PictureItem]]:
        """Groups of pictures that look the same, the largest first."""
        return [picture_items(index, group) for group in index.similar.duplicates(of(viewer))]


def _one(router: APIRouter, services: Services) -> None:
    index = services.index
    of = looker_of(services)
    makers = CapacityLimiter(_MAKERS)

    @router.get("/{picture_id}")
    def detail(picture_id: str, viewer: ByLogin) -> PictureDetail:
        """Everything that a picture's file says, and its marks."""
        return picture_detail(index, index.find(picture_id, of(viewer)), with_path=services.flags.alone)

    @router.get("/{picture_id}/file")
    def file(picture_id: str, viewer: ByLogin, download: bool = False) -> FileResponse:
        """The file as it is."""
        picture = index.find(picture_id, of(viewer))
        return picture_file(index.servable(picture), picture.name, download=download)

    @router.get("/{picture_id}/thumbnail")
    async def thumbnail(
        picture_id: str, viewer: ByLogin, size: Annotated[int, Query(ge=16, le=1024)] = 256
    ) -> FileResponse:
        """A small copy as WebP."""
        return await run_sync(
            lambda: thumbnail_file(index.thumbnail(index.find(picture_id, of(viewer)), size)), limiter=makers
        )

    @router.get("/{picture_id}/similar")
    def similar(
        picture_id: str,
        viewer: ByLogin,
        by: Literal["look", "meaning"] = "look",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> list[SimilarItem]:
        """The pictures that look most like this one, or show most what it shows, nearest first."""
        finder = index.meaning if by == "meaning" else index.similar
        found = finder.to(index.find(picture_id, of(viewer)), limit, of(viewer))
        return [similar_item(index, picture, distance) for picture, distance in found]


def _counted(one: Counted) -> CountedEntry:
    return CountedEntry(id=one.id, name=one.name, count=one.count)


def _indexing(now: Indexing) -> IndexingItem:
    return IndexingItem(running=now.running, done=now.done, total=now.total, skipped=now.skipped, problem=now.problem)
