"""Pictures of the gallery as JSON, and how their files are served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from modules.gallery.index.records import IndexedPicture, Looker, Outcome
from modules.jobs.access import Viewer
from modules.settings.logins import logins

if TYPE_CHECKING:
    from modules.gallery.index.service import PictureIndex
    from modules.jobs.services import Services

# No SVG: it is a document that holds scripts.
PICTURE_TYPES: Final = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp", "image/x-ms-bmp", "image/tiff"}
)
FILE_POLICY: Final = "sandbox; default-src 'none'; img-src 'self' data:; frame-ancestors 'self'"
_TYPE_OF: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
_FILE_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": FILE_POLICY}
# The address of a thumbnail changes with its picture.
_FOR_EVER: Final = {"Cache-Control": "private, max-age=31536000, immutable"}

PictureId = Annotated[str, Field(min_length=1, max_length=60)]
Ids = Annotated[list[PictureId], Field(max_length=20_000)]
LookerOf = Callable[[Viewer], Looker]


class PictureItem(BaseModel):
    """One picture. `folder` is its place below the gallery's folders, `stack` how many pictures it stands for."""

    id: str
    name: str
    folder: str
    width: int
    height: int
    bytes: int
    created: str
    rating: int
    favourite: bool
    tags: list[str]
    stack: int
    stack_key: str
    thumbnail: str
    trashed: bool


class SimilarItem(PictureItem):
    """A picture with how far its look, or its meaning, is from another one's: 0 is the same."""

    distance: float


class NamedEntry(BaseModel):
    """A board, or a folder, by id and name."""

    id: str
    name: str


class PictureDetail(PictureItem):
    """Everything a picture says. `path` is there only for the person at this machine."""

    infotext: str
    prompt: str
    negative_prompt: str
    fields: dict[str, str]
    program: str
    boards: list[NamedEntry]
    path: str | None


class IndexingItem(BaseModel):
    """How far the reading of folders is; `skipped` files can't be read as pictures.

    `problem` is the sentence for why nothing is read for a while: a full disk, say.
    """

    running: bool
    done: int
    total: int
    skipped: int
    problem: str | None


class PicturePage(BaseModel):
    """A stretch of a search. `explained` says what of the search was not understood."""

    total: int
    pictures: list[PictureItem]
    cursor: str | None
    explained: str | None
    indexing: IndexingItem


def looker_of(services: Services) -> LookerOf:
    """Who looks at the gallery: where several users log in, each at their own, unless a setting says otherwise."""
    several = len({user for user, _ in logins(services.flags)}) > 1

    def looker(viewer: Viewer) -> Looker:
        return Looker(viewer.user, several and not services.options.switch("gallery_of_others"))

    return looker


def picture_item(index: PictureIndex, picture: IndexedPicture) -> PictureItem:
    return PictureItem(**_values(index, picture))


def similar_item(index: PictureIndex, picture: IndexedPicture, distance: float) -> SimilarItem:
    return SimilarItem(**_values(index, picture), distance=round(distance, 4))


def picture_items(index: PictureIndex, pictures: Iterable[IndexedPicture]) -> list[PictureItem]:
    return [picture_item(index, picture) for picture in pictures]


def picture_detail(index: PictureIndex, picture: IndexedPicture, *, with_path: bool) -> PictureDetail:
    """Raises GalleryError where the file can't be read any more."""
    said = index.detail(picture)
    return PictureDetail(
        **_values(index, picture),
        infotext=said.infotext,
        prompt=said.prompt,
        negative_prompt=said.negative_prompt,
        fields=said.fields,
        program=picture.program,
        boards=[NamedEntry(id=board.id, name=board.name) for board in index.marks.boards_of(picture.content)],
        path=str(picture.path) if with_path else None,
    )


def _values(index: PictureIndex, picture: IndexedPicture) -> dict[str, object]:
    picture_id = index.id_of(picture.row)
    return {
        "id": picture_id,
        "name": picture.name,
        "folder": picture.folder,
        "width": picture.width,
        "height": picture.height,
        "bytes": picture.size,
        "created": iso(picture.created),
        "rating": picture.rating,
        "favourite": picture.favourite,
        "tags": list(picture.tags),
        "stack": picture.stack,
        "stack_key": picture.stack_key,
        "thumbnail": f"/v1/pictures/{picture_id}/thumbnail?v={picture.mtime_ns ^ picture.size:x}",
        "trashed": picture.trashed,
    }


def iso(moment: float) -> str:
    """Seconds since 1970 as local time with its zone."""
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")


def outcome_item(index: PictureIndex, done: str, outcome: Outcome, unknown: Sequence[str] = ()) -> dict[str, object]:
    """The ids that it was `done` to, and the sentence for each other one."""
    refused = {index.id_of(row): sentence for row, sentence in outcome.refused.items()}
    refused |= dict.fromkeys(unknown, "There is no such picture any more.")
    return {done: [index.id_of(row) for row in outcome.done], "refused": refused}


def picture_file(path: Path, name: str, *, download: bool = False) -> FileResponse:
    """A picture as it is: shown where its kind is one that only shows, and never run as part of our page."""
    kind = _TYPE_OF.get(path.suffix.lower())
    inline = kind in PICTURE_TYPES and not download
    return FileResponse(
        path,
        media_type=kind or "application/octet-stream",
        filename=name,
        content_disposition_type="inline" if inline else "attachment",
        headers=_FILE_HEADERS,
    )


def thumbnail_file(path: Path) -> FileResponse:
    return FileResponse(path, media_type="image/webp", headers={**_FILE_HEADERS, **_FOR_EVER})
