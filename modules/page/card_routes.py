"""What the page's tabs of cards ask for: stretches of the lists, pictures, and changes of what people noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from modules.api.extra_networks import inside_picture
from modules.api.viewer import ByBrowser
from modules.catalogue.card_files import CardKind
from modules.catalogue.cards import Card
from modules.catalogue.user_metadata import TEXT_KEYS, WEIGHT_KEY, SidecarError, save_user_metadata
from modules.files import SaveError
from modules.gallery import Thumbnails
from modules.page.card_lists import WantedCards, card_details, card_page
from modules.page.card_previews import replace_preview
from modules.page.job_pictures import shown_pictures
from modules.parameters.output_options import ImageFileOptions
from modules.pictures import PictureError
from modules.pictures.opening import MOST_PIXELS
from modules.settings.groups import read_options

if TYPE_CHECKING:
    from modules.jobs.services import Services

# Sharp on cards of twice the usual size, and on screens of twice the usual density.
_SIDE: Final = 384
_HEADERS: Final = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_GONE: Final = "This model is not there any more: press refresh."
CardName = Annotated[str, Field(max_length=1000)]
NotedText = Annotated[str, Field(max_length=100_000)]


class OneCard(BaseModel):
    """A card by its kind and by its file's path in the model folder."""

    kind: CardKind
    name: CardName


class Noted(OneCard):
    """What the editor saves: the keys of A1111's user metadata that it shows."""

    texts: Annotated[dict[str, NotedText], Field(max_length=20)]
    weight: Annotated[float | None, Field(ge=-10, le=10)] = None


class NewPreview(OneCard):
    """The picture of that number in the gallery that shows a job."""

    job: CardName
    picture: Annotated[int, Field(ge=0)] = 0


def card_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """The routes under /internal/cards. A refusal is one sentence."""
    thumbnails = Thumbnails(services.paths.cache_dir / "thumbnails", side=_SIDE, most_pixels=MOST_PIXELS)
    router = APIRouter(prefix="/internal/cards", dependencies=[Depends(logged_in)], include_in_schema=False)

    def found(kind: CardKind, name: str) -> Card:
        card = services.cards.find(kind, name)
        if card is None:
            raise HTTPException(404, _GONE)
        return card

    def own(kind: CardKind, name: str) -> Card:
        card = found(kind, name)
        if services.catalogue.folders.is_foreign(card.files.model.path):
            folder = card.files.model.path.parent
            raise HTTPException(422, f"{folder} belongs to another program, and nothing is written there.")
        return card

    @router.get("")
    def cards(wanted: Annotated[WantedCards, Query()]) -> dict[str, Any]:
        return card_page(services, wanted)

    @router.post("/refresh")
    def refresh(kind: CardKind) -> dict[str, Any]:
        services.refresh_models()
        services.cards.refresh(kind)
        return {"all": len(services.cards.of(kind).cards)}

    @router.get("/picture")
    def picture(kind: CardKind, name: Annotated[str, Query(max_length=1000)]) -> Response:
        card = found(kind, name)
        try:
            if card.files.preview is not None:
                return FileResponse(thumbnails.of(card.files.preview.path), headers=_HEADERS)
            data, media_type = inside_picture(card)
        except (PictureError, SaveError) as error:
            raise HTTPException(404, str(error)) from error
        return Response(data, media_type=media_type, headers=_HEADERS)

    @router.get("/details")
    def details(kind: CardKind, name: Annotated[str, Query(max_length=1000)]) -> dict[str, Any]:
        return card_details(services, found(kind, name))

    @router.post("/details")
    def save(noted: Noted) -> dict[str, Any]:
        card = own(noted.kind, noted.name)
        changes: dict[str, str | float] = {key: text for key, text in noted.texts.items() if key in TEXT_KEYS}
        if noted.weight is not None:
            changes[WEIGHT_KEY] = noted.weight
        try:
            save_user_metadata(card.files.sidecar_path(".json"), changes)
        except (SidecarError, SaveError) as error:
            raise HTTPException(422, str(error)) from error
        services.cards.refresh(noted.kind)
        return card_details(services, found(noted.kind, noted.name))

    @router.post("/preview")
    def preview(new: NewPreview, viewer: ByBrowser) -> dict[str, Any]:
        card = own(new.kind, new.name)
        images = shown_pictures(services, viewer, new.job)
        if new.picture >= len(images):
            raise HTTPException(422, "There is no picture on display: generate one, or choose an earlier one.")
        image = images[new.picture]
        options = read_options(ImageFileOptions, services.options.as_dict())
        try:
            replace_preview(card, image.path, image.infotext, options)
        except (PictureError, SaveError) as error:
            raise HTTPException(422, str(error)) from error
        services.cards.refresh(new.kind)
        return card_details(services, found(new.kind, new.name))

    return router
