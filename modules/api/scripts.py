"""Scripts in A1111's API: listed with their arguments, and chosen by name with positional arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from pydantic import JsonValue

from modules.api.bodies import ApiOnly
from modules.features.declaration import Argument, RequestChanges, Script, ScriptError
from modules.features.table import SCRIPTS, find_script
from modules.intake.script_choices import choices_of
from modules.parameters import Mode
from modules.pictures.size import Size

if TYPE_CHECKING:
    from modules.jobs.services import Services

_TABS: tuple[Mode, Mode] = ("txt2img", "img2img")


def script_names(services: Services) -> dict[str, list[str]]:
    """The scripts of each tab, in lower case as A1111 lists them."""
    return {tab: [script.title.lower() for script in _listed(services) if tab in script.tabs] for tab in _TABS}


def _listed(services: Services) -> list[Script]:
    """Those that are on the page: postprocessing is there where the settings say so."""
    shown = services.options.texts("postprocessing_enable_in_main_ui")
    return [script for script in SCRIPTS if not script.postprocesses or script.title in shown]


def script_items(services: Services) -> list[dict[str, Any]]:
    """Every script once for each tab that it is on, with its arguments in their order."""
    return [
        {
            "name": script.title.lower(),
            "is_alwayson": script.always_on,
            "is_img2img": tab == "img2img",
            "args": [_item(services, argument, tab) for argument in script.arguments],
        }
        for tab in _TABS
        for script in _listed(services)
        if tab in script.tabs
    ]


def _item(services: Services, argument: Argument, tab: Mode) -> dict[str, Any]:
    slider = argument.look == "slider"
    return {
        "label": argument.label,
        "value": argument.default,
        "minimum": argument.minimum if slider else None,
        "maximum": argument.maximum if slider else None,
        "step": argument.step if slider else None,
        "choices": choices_of(services.lists, argument, tab) or None,
    }


def is_always_on(title: str) -> bool:
    """Whether a script stands beside the others rather than being chosen."""
    script = find_script(title)
    return script is not None and script.always_on


def requested_scripts(services: Services, body: ApiOnly, mode: Mode) -> dict[str, dict[str, JsonValue]]:
    """The scripts that a body names, by title, with the arguments it gives. Raises HTTPException as A1111 does."""
    scripts: dict[str, dict[str, JsonValue]] = {}
    if body.script_name and body.script_name != "None":
        script = find_script(body.script_name)
        if script is None or script.always_on or mode not in script.tabs:
            raise HTTPException(422, f"Script '{body.script_name}' not found")
        scripts[script.title] = _named(services, mode, script.arguments, body.script_args or [])
    for title, value in (body.alwayson_scripts or {}).items():
        given = value.get("args") if isinstance(value, Mapping) else None
        script = find_script(title)
        if script is not None and not script.always_on:
            raise HTTPException(422, "Cannot have a selectable script in the always on scripts params")
        if script is not None and mode in script.tabs:
            args = given if isinstance(given, list) else []
            scripts[script.title] = _arguments(services, mode, script, title, args)
        elif given:
            # Clients send the empty arguments of extensions that they know; those ask for nothing.
            raise HTTPException(422, f"always on script {title} not found")
    return scripts


def request_changes(body: ApiOnly, mode: Mode, size: Size, picture: Size | None) -> RequestChanges:
    """What a body's always-on scripts change of its request, given its size and its picture's. Raises HTTPException."""
    fields: dict[str, JsonValue] = {}
    settings: dict[str, JsonValue] = {}
    for title, value in (body.alwayson_scripts or {}).items():
        script, given = find_script(title), value.get("args") if isinstance(value, Mapping) else None
        if script is None or script.own is None or script.own.changes is None or mode not in script.tabs:
            continue
        try:
            changes = script.own.changes(given if isinstance(given, list) else [], size, picture)
        except ScriptError as error:
            raise HTTPException(422, str(error)) from error
        fields |= changes.fields
        settings |= changes.settings
    return RequestChanges(fields, settings)


def _arguments(
    services: Services, mode: Mode, script: Script, title: str, given: Sequence[JsonValue]
) -> dict[str, JsonValue]:
    """The arguments that a body gives to an always-on script under a title, by name. Raises HTTPException."""
    if script.own is None:
        return _named(services, mode, script.positional(title), given)
    try:
        return script.own.from_api(given)
    except ScriptError as error:
        raise HTTPException(422, str(error)) from error


def _named(
    services: Services, mode: Mode, arguments: Sequence[Argument], given: Sequence[JsonValue]
) -> dict[str, JsonValue]:
    """Positional arguments by name. Missing and null ones keep their default; more than there are are ignored."""
    pairs = zip(arguments, given, strict=False)
    return {
        argument.name: _word(services, mode, argument, value)
        for argument, value in pairs
        if argument.look != "note" and value is not None
    }


def _word(services: Services, mode: Mode, argument: Argument, value: JsonValue) -> JsonValue:
    """What a place in a list of this machine, or a name in other letters, stands for; anything else stays."""
    words = choices_of(services.lists, argument, mode) if argument.listed else []
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(words):
        return words[value]
    return next((word for word in words if isinstance(value, str) and word.casefold() == value.casefold()), value)
