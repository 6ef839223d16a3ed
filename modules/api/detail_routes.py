"""What ADetailer's programs ask for before they send its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from modules.api.http_errors import ApiRoute
from modules.features.declaration import Argument
from modules.features.detail.declare import TAB, VERSION

if TYPE_CHECKING:
    from modules.jobs.services import Services


def detail_routes(services: Services) -> APIRouter:
    """Version, the form of a tab, and the detectors."""
    router = APIRouter(prefix="/adetailer/v1", route_class=ApiRoute, tags=["ADetailer"])

    @router.get("/version")
    def version() -> dict[str, str]:
        return {"version": VERSION}

    @router.get("/schema")
    def schema() -> dict[str, Any]:
        return {
            "title": "ADetailerArgs",
            "type": "object",
            "properties": {argument.name: _property(argument) for argument in TAB},
            "required": ["ad_model"],
        }

    @router.get("/ad_model")
    def ad_model() -> dict[str, list[str]]:
        return {"ad_model": services.detectors()}

    return router


def _property(argument: Argument) -> dict[str, Any]:
    """An argument in the words of JSON Schema."""
    about: dict[str, Any] = {"title": argument.label, "default": argument.default}
    match argument.look:
        case "checkbox":
            return {**about, "type": "boolean"}
        case "slider":
            highest = max(limit for limit in (argument.maximum, argument.most) if limit is not None)
            kind = "integer" if argument.whole else "number"
            return {**about, "type": kind, "minimum": argument.minimum, "maximum": highest}
    words = {"enum": list(argument.choices)} if argument.choices and not argument.listed else {}
    return {**about, "type": "string", **words}
