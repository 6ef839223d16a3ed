"""Settings and flags over the API."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from pydantic import JsonValue

from modules.api.bodies import Json
from modules.api.http_errors import ApiRoute
from modules.settings import OptionError, declared_flags

if TYPE_CHECKING:
    from modules.jobs.services import Services

_CHECKPOINT_KEYS: Final = frozenset({"sd_model_checkpoint", "sd_vae"})


def option_routes(services: Services) -> APIRouter:
    """Read and write settings. What a client posts back unchanged, unknown keys and all, is accepted."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["settings"])

    @router.get("/options")
    def get_options() -> dict[str, JsonValue]:
        values = dict(services.options.as_dict())
        title = values.get("sd_model_checkpoint") or _current_title(services)
        return values | {"sd_model_checkpoint": title, "sd_checkpoint_hash": _hash_of(services, title)}

    @router.post("/options")
    def set_options(values: dict[str, Json]) -> None:
        options = services.options
        _refuse_frozen(services, values, get_options())
        known = {key: value for key, value in values.items() if _settable(services, key)}
        title = known.get("sd_model_checkpoint")
        if title:
            known["sd_model_checkpoint"] = services.catalogue.find_checkpoint(str(title)).title
        before = {key: options.get(key) for key in _CHECKPOINT_KEYS & set(options.options)}
        options.update(known)
        if any(options.get(key) != value for key, value in before.items()):
            services.jobs.load_checkpoint(None)

    @router.get("/cmd-flags")
    def cmd_flags() -> dict[str, JsonValue]:
        """The flags of this server; secrets are never among them."""
        secret = {flag.key for flag in declared_flags() if flag.about.secret}
        flags = dataclasses.asdict(services.flags)
        return {name: _plain(value) for name, value in flags.items() if name not in secret and name != "notices"}

    return router


def _settable(services: Services, key: str) -> bool:
    option = services.options.options.get(key)
    return option is not None and not option.restrict_api and key not in services.options.frozen


def _refuse_frozen(services: Services, values: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> None:
    """Raises OptionError for another value of a setting that a flag has frozen; the same value may come back."""
    for key, value in values.items():
        if key in services.options.frozen and value != now.get(key):
            raise OptionError(services.options.protection(key))


def _current_title(services: Services) -> str | None:
    checkpoints = services.catalogue.checkpoints()
    return checkpoints[0].title if checkpoints else None


def _hash_of(services: Services, title: object) -> str:
    """Empty while it is not known."""
    checkpoint = next((entry for entry in services.catalogue.checkpoints() if entry.title == title), None)
    return (checkpoint.sha256 if checkpoint else None) or ""


def _plain(value: object) -> JsonValue:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
