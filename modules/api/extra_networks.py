"""Cards of models as A1111's own page requests them. A request names a model, or a picture that a card shows."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import FileResponse

from modules.api.http_errors import ApiRoute
from modules.catalogue.card_details import metadata_text, model_metadata
from modules.catalogue.card_files import CARD_KINDS, PREVIEW_SUFFIXES, CardKind
from modules.catalogue.cards import Card
from modules.catalogue.pictures_inside import picture_inside
from modules.pictures import PictureError
from modules.pictures.opening import picture_size, read_header

if TYPE_CHECKING:
    from modules.jobs.services import Services

ShortText = Annotated[str, Query(max_length=1000)]
_SHOWN: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_HEADERS: Final = {"X-Content-Type-Options": "nosniff"}


def extra_network_routes(services: Services) -> APIRouter:
    """The calls under /sd_extra_networks, in A1111's shapes."""
    router = APIRouter(prefix="/sd_extra_networks", route_class=ApiRoute, tags=["internal"])

    def found(page: str, item: str) -> Card | None:
        kind = _kind(page)
        return None if kind is None else services.cards.find(kind, item)

    @router.get("/thumb")
    def thumb(filename: ShortText = "") -> FileResponse:
        picture = Path(filename)
        if (
            picture.suffix.lower() not in PREVIEW_SUFFIXES
            or not services.cards.is_preview(picture)
            or picture.is_symlink()
            or not picture.is_file()
        ):
            raise HTTPException(404, "There is no such picture beside a model.")
        return FileResponse(picture, headers=_HEADERS)

    @router.get("/cover-images")
    def cover_images(page: ShortText = "", item: ShortText = "", index: int = 0) -> Response:
        card = found(page, item)
        if card is None:
            raise HTTPException(404, "There is no such model.")
        try:
            data, media_type = inside_picture(card, index)
        except PictureError as error:
            raise HTTPException(404, str(error)) from error
        return Response(data, media_type=media_type, headers=_HEADERS)

    @router.get("/metadata")
    def metadata(page: ShortText = "", item: ShortText = "") -> dict[str, str]:
        card = found(page, item)
        text = "" if card is None else metadata_text(model_metadata(card))
        return {"metadata": text} if text else {}

    @router.get("/get-single-card")
    def single_card(page: ShortText = "", tabname: ShortText = "", name: ShortText = "") -> dict[str, str]:
        card = found(page, name)
        return {"html": "" if card is None else card_html(card)}

    return router


def card_html(card: Card) -> str:
    """A card as a piece of A1111's page. Every text in it is escaped: names and descriptions come from strangers."""
    preview = card.files.preview
    address = "" if preview is None else f"./sd_extra_networks/thumb?filename={quote(preview.path.as_posix(), safe='')}"
    state = preview.state.mtime_ns // 10**9 if preview is not None else 0
    image = f'<img src="{address}&amp;mtime={state}" class="preview" loading="lazy">' if address else ""
    name, description = html.escape(card.title), html.escape(card.facts.description)
    return (
        f'<div class="card" data-name="{name}" data-sort-name="{html.escape(card.order)}">{image}'
        f'<div class="actions"><span class="name">{name}</span><span class="description">{description}</span></div>'
        "</div>"
    )


def _kind(page: str) -> CardKind | None:
    """The kind of cards on one of A1111's pages, whose title may be written with spaces or underscores."""
    title = page.lower().replace("_", " ")
    return next((kind for kind in CARD_KINDS if kind == title), None)


def inside_picture(card: Card, index: int = 0) -> tuple[bytes, str]:
    """A picture from the head of a model file, and its type. Raises PictureError where there is none to be shown."""
    data = picture_inside(model_metadata(card), index)
    if data is None:
        raise PictureError("There is no picture inside this model file.")
    picture_size(data, "The picture inside this model file")
    with read_header(data) as image:
        kind = _SHOWN.get(image.format or "")
    if kind is None:
        raise PictureError("The picture inside this model file is of a kind that can't be shown.")
    return data, kind
