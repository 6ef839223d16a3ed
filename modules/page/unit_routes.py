"""What the forms of units ask for when they are first opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, HTTPException, Request

from modules.features.declaration import Argument, Script
from modules.features.table import ALWAYS_ON
from modules.intake.script_choices import choices_of
from modules.page.script_names import FORM, GROUPS, of_group, on_tab, slug, slug_of

if TYPE_CHECKING:
    from modules.jobs.services import Services


def unit_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """Their fields, with what each offers at this moment."""
    router = APIRouter(prefix="/internal/units", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.get("/{mode}/{name}/{argument}")
    def schema(mode: str, name: str, argument: str) -> dict[str, Any]:
        for script in on_tab(ALWAYS_ON, mode):
            own = next((one for one in script.arguments if one.name == argument and one.look == "units"), None)
            if own is not None and slug(script) == name:
                return units_schema(services, own, mode)
        group = next((one for one in GROUPS if slug_of(one) == name and argument == FORM.name), None)
        if group is not None:
            return group_schema(services, of_group(group, mode), mode)
        raise HTTPException(404, "There are no such units.")

    return router


def units_schema(services: Services, argument: Argument, mode: str) -> dict[str, Any]:
    """What assets/units.js draws: how many units there are, and each one's arguments with what they offer now."""
    count = services.options.whole(argument.listed) if argument.listed else argument.maximum or 1
    return {"count": int(count), "arguments": [_field(services, one, mode) for one in argument.record if one.shown]}


def group_schema(services: Services, scripts: Sequence[Script], mode: str) -> dict[str, Any]:
    """The same for the form of a group of features: each is a unit with a title and arguments of its own."""
    forms = [
        {"title": script.title, "arguments": [_field(services, one, mode) for one in script.valued if one.shown]}
        for script in scripts
    ]
    return {"count": len(forms), "arguments": [], "forms": forms}


def _field(services: Services, argument: Argument, mode: str) -> dict[str, Any]:
    return {
        "name": argument.name,
        "label": argument.label,
        "look": argument.look,
        "default": argument.default,
        "minimum": argument.minimum,
        "maximum": argument.maximum,
        "step": argument.step,
        "lines": argument.lines,
        "choices": choices_of(services.lists, argument, mode),
    }
