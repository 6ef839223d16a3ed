"""Settings and flags over the API."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import JsonValue

from modules.api.bodies import Json
from modules.api.http_errors import ApiRoute
from modules.jobs.option_changes import change_options
from modules.settings import OptionError, declared_flags

if TYPE_CHECKING:
    from modules.jobs.services import Services


def option_routes(services: Services) -> APIRouter:
    """Read and write settings. What a client posts back unchanged, unknown keys and all, is accepted."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["settings"])

    @router.get("/options")
    def get_options() -> dict[str, JsonValue]:
        values = dict(services.options.as_dict())
        checkpoint = services.current_checkpoint()
        title = values.get("sd_model_checkpoint") if checkpoint is None else checkpoint.title
        # The hash is empty while it is not known.
        sha256 = None if checkpoint is None else checkpoint.sha256
        return values | {"sd_model_checkpoint": title, "sd_checkpoint_hash": sha256 or ""}

    @router.post("/options")
    def set_options(values: dict[str, Json]) -> None:
        _refuse_frozen(services, values, get_options())
        known = {key: value for key, value in values.items() if _settable(services, key)}
        title = known.get("sd_model_checkpoint")
        if title:
            known["sd_model_checkpoint"] = services.catalogue.find_checkpoint(str(title)).title
        change_options(services, known)

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


def _plain(value: object) -> JsonValue:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
