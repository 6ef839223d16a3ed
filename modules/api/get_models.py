"""Get models: looking up what an address names, fetching it, and how far that is. Served wherever the page is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from modules.api.http_errors import ApiRoute
from modules.downloads import Download, DownloadState, GetModels
from modules.downloads.addresses import LONGEST
from modules.downloads.arrival import KINDS
from modules.downloads.tokens import SiteName
from modules.settings.logins import logins

if TYPE_CHECKING:
    from modules.jobs.services import Services

AddressText = Annotated[str, Field(max_length=LONGEST)]


class DownloadRow(BaseModel):
    """One download. Sizes are bytes, 0 for not known; `left` are the seconds it takes on, null where nobody knows."""

    id: str
    name: str
    kind: str
    state: DownloadState
    size: int
    received: int
    speed: float
    left: float | None
    cause: str
    path: str


class DownloadList(BaseModel):
    """The list, the oldest first; `tokens` says of which sites there is one."""

    downloads: list[DownloadRow]
    tokens: dict[SiteName, bool]
    notice: str


class OfferedRow(BaseModel):
    """A model of the short list. `size` are the bytes of all its files, `there` says that they are on the disk."""

    id: str
    title: str
    text: str
    licence: str
    page: str
    card: str
    size: int
    files: list[str]
    there: bool


class WantedAddress(BaseModel):
    """An address or id of a model."""

    address: AddressText


class FileThere(BaseModel):
    """A file at an address; `number` is that of `Wanted`. `kind` is empty where only the file itself will say it."""

    number: int
    name: str
    size: int
    kind: str


class ModelThere(BaseModel):
    """What an address names."""

    title: str
    page: str
    kinds: list[str]
    files: list[FileThere]


class Wanted(BaseModel):
    """What to fetch: a model of the short list by its id, or a file at an address, with its kind if one is chosen."""

    offered: Annotated[str, Field(max_length=100)] = ""
    address: AddressText = ""
    file: Annotated[int, Field(ge=0, le=100_000)] = 0
    kind: Annotated[str, Field(max_length=100)] = ""


class EnteredToken(BaseModel):
    """An access token; an empty one is forgotten."""

    site: SiteName
    token: Annotated[str, Field(max_length=500)]


def get_model_routes(services: Services) -> APIRouter:
    """The routes under /v1/downloads. A refusal is one sentence."""

    def getter() -> GetModels:
        if services.get_models is None:
            raise HTTPException(403, "This server was started with --offline: nothing is fetched.")
        if services.flags.exposed and not logins(services.flags):
            raise HTTPException(403, "Models are fetched for people with a login only: start with --gradio-auth.")
        return services.get_models

    router = APIRouter(prefix="/v1/downloads", route_class=ApiRoute, tags=["models"])

    def row(models: GetModels, one: Download) -> DownloadRow:
        speed = models.downloads.speed(one.id)
        left = (one.size - one.received) / speed if speed and one.size else None
        return DownloadRow(
            **{key: getattr(one, key) for key in ("id", "name", "kind", "state", "size", "received", "cause", "path")},
            speed=speed,
            left=left,
        )

    @router.get("")
    def downloads() -> DownloadList:
        """All downloads, with what is known of their progress."""
        models = getter()
        rows = [row(models, one) for one in models.downloads.all()]
        return DownloadList(downloads=rows, tokens=models.known_tokens(), notice=models.downloads.notice)

    @router.get("/offered")
    def offered() -> list[OfferedRow]:
        """The short list of models that this program suggests."""
        models = getter()
        return [
            OfferedRow(
                **{key: getattr(one, key) for key in ("id", "title", "text", "licence", "page", "card")},
                size=sum(file.size for file in one.files),
                files=[file.name for file in one.files],
                there=there,
            )
            for one, there in models.offered()
        ]

    @router.post("/look")
    def look(wanted: WantedAddress) -> ModelThere:
        """The files at an address of huggingface.co or civitai.com. Asks that site."""
        models = getter()
        found = models.look_up(wanted.address)
        files = [
            FileThere(number=number, name=file.name, size=file.size, kind=file.kind)
            for number, file in enumerate(found.files)
        ]
        return ModelThere(title=found.title, page=found.page, kinds=list(KINDS), files=files)

    @router.post("")
    def fetch(wanted: Wanted) -> list[DownloadRow]:
        """Put files on the list; they are fetched one after the other."""
        models = getter()
        if wanted.offered:
            return [row(models, one) for one in models.fetch_offered(wanted.offered)]
        return [row(models, models.fetch(wanted.address, wanted.file, wanted.kind))]

    @router.post("/tokens")
    def token(entered: EnteredToken) -> dict[SiteName, bool]:
        """Remember an access token. None is ever answered."""
        models = getter()
        models.enter_token(entered.site, entered.token)
        return models.known_tokens()

    @router.post("/{download}/pause")
    def pause(download: str) -> DownloadRow:
        """Stop a download; what has come stays."""
        models = getter()
        return row(models, models.downloads.pause(download))

    @router.post("/{download}/resume")
    def resume(download: str) -> DownloadRow:
        """Go on with a download that was paused or has failed."""
        models = getter()
        return row(models, models.downloads.resume(download))

    @router.delete("/{download}")
    def remove(download: str) -> dict[str, Any]:
        """Take a download off the list; a file that is whole stays on the disk."""
        models = getter()
        models.downloads.remove(download)
        return {}

    return router
