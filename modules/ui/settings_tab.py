"""The Settings tab: its frame, and the routes from which the page's script draws and changes the options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import gradio as gr
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field, JsonValue

from modules.jobs.job import JobError
from modules.parameters import RequestError
from modules.parameters.samplers import sampler_labels
from modules.parameters.upscalers import PIXEL_UPSCALERS
from modules.settings import SECTIONS, Option, OptionError
from modules.ui import listing

if TYPE_CHECKING:
    from modules.jobs.services import Services

_MODEL_KEYS: Final = frozenset({"sd_model_checkpoint", "sd_vae"})


class Changes(BaseModel):
    """Values by key; `reset` names options that go back to their defaults."""

    values: Annotated[dict[str, JsonValue], Field(max_length=1000)] = Field(default_factory=dict)
    reset: Annotated[tuple[str, ...], Field(max_length=1000)] = ()


def build_settings() -> None:
    """The frame; assets/settings.js fills it when the tab is opened first."""
    gr.HTML('<div id="settings_panel" aria-live="polite">The settings are being read…</div>')


def settings_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """Read all options with what the page needs to draw them, and change some of them."""
    router = APIRouter(prefix="/internal", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.get("/settings")
    def read() -> list[dict[str, Any]]:
        shown = [option for option in services.options.options.values() if not option.hidden]
        return [
            {
                "section": section,
                "title": title,
                "options": [_told(services, option) for option in shown if option.section == section],
            }
            for section, title in SECTIONS.items()
            if any(option.section == section for option in shown)
        ]

    @router.post("/settings")
    def change(changes: Changes) -> dict[str, Any]:
        try:
            changed = services.options.update(changes.values) + services.options.reset(changes.reset)
            if _MODEL_KEYS & set(changed):
                services.jobs.load_checkpoint(None)
        except (OptionError, RequestError, JobError) as error:
            raise HTTPException(422, str(error)) from error
        needs = {services.options.options[key].needs for key in changed}
        return {"changed": list(changed), "restart": "restart" in needs}

    return router


def _told(services: Services, option: Option) -> dict[str, Any]:
    value, default = services.options.get(option.key), option.default
    return {
        "key": option.key,
        "label": option.label,
        "kind": option.kind,
        "value": list(value) if isinstance(value, tuple) else value,
        "default": list(default) if isinstance(default, tuple) else default,
        "choices": _choices(services, option),
        "minimum": option.minimum,
        "maximum": option.maximum,
        "step": option.step,
        "hint": option.hint,
        "restart": option.needs == "restart",
        "frozen": option.key in services.options.frozen,
    }


def _choices(services: Services, option: Option) -> list[str]:
    match option.choices_from:
        case "checkpoints":
            return listing.checkpoint_titles(services)
        case "vaes":
            return ["Automatic", "None", *(entry.name for entry in services.catalogue.vaes())]
        case "samplers":
            return list(sampler_labels())
        case "upscalers":
            return list(PIXEL_UPSCALERS)
        case _:
            return list(option.choices)
