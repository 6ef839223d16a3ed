"""The Settings tab: the routes from which the page's script draws and changes the options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field, JsonValue

from modules.jobs.option_changes import change_options
from modules.page import listing
from modules.page.option_choices import option_choices
from modules.settings import SECTIONS, Option, OptionError
from modules.settings.without_effect import without_effect

if TYPE_CHECKING:
    from modules.jobs.services import Services


class Changes(BaseModel):
    """Values by key; `reset` names options that go back to their defaults."""

    values: Annotated[dict[str, JsonValue], Field(max_length=1000)] = Field(default_factory=dict)
    reset: Annotated[tuple[str, ...], Field(max_length=1000)] = ()


def settings_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """Read all options with what the page needs to draw them, and change some of them."""
    router = APIRouter(prefix="/internal", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.get("/settings")
    def read() -> list[dict[str, Any]]:
        hidden = {"saving-paths"} if services.flags.hide_ui_dir_config else set()
        options = services.options.options.values()
        shown = [option for option in options if not option.hidden and option.section not in hidden]
        return [
            {
                "section": section,
                "title": title,
                "options": [_as_json(services, option) for option in shown if option.section == section],
            }
            for section, title in SECTIONS.items()
            if any(option.section == section for option in shown)
        ]

    @router.post("/settings")
    def change(changes: Changes) -> dict[str, Any]:
        try:
            changed = change_options(services, changes.values, changes.reset)
        except OptionError as error:
            raise HTTPException(422, str(error)) from error
        return {"changed": list(changed), "needs": sorted({services.options.options[key].needs for key in changed})}

    return router


def _as_json(services: Services, option: Option) -> dict[str, Any]:
    value, default = services.options.get(option.key), option.default
    if option.choices_from == "checkpoints":
        # While nothing was chosen, the first one there is.
        value = value or listing.current_title(services)
        default = default or value
    return {
        "key": option.key,
        "label": option.label,
        "kind": option.kind,
        "value": list(value) if isinstance(value, tuple) else value,
        "default": list(default) if isinstance(default, tuple) else default,
        "choices": option_choices(services, option),
        "minimum": option.minimum,
        "maximum": option.maximum,
        "step": option.step,
        "hint": option.hint,
        "needs": option.needs,
        "inert": without_effect(option.key),
        "frozen": option.key in services.options.frozen,
    }
