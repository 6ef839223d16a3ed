"""Arguments of scripts in the infotext of pictures, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from modules.features.declaration import Argument, Script, ScriptError, checked_arguments
from modules.features.table import SCRIPTS, scripts_of

# Where A1111 names the script of a picture whose other keys do not show it.
NAME: Final = "Script"


def script_values(scripts: Mapping[str, Mapping[str, JsonValue]]) -> Iterator[tuple[str, object]]:
    """Keys and values that a request's scripts write into its pictures."""
    for script, values in scripts_of(scripts):
        if script.named:
            yield NAME, script.title
        if script.own is not None:
            yield from script.own.written(values)
            continue
        for argument in script.valued:
            if argument.infotext is not None and not argument.of_grid:
                yield argument.infotext, _written(values[argument.name])


def _written(value: JsonValue) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def scripts_from_infotext(values: Mapping[str, str], notices: list[str]) -> dict[str, dict[str, JsonValue]]:
    """The scripts that made a picture, as its infotext says; what it leaves out has its default."""
    found = {}
    for script in SCRIPTS:
        try:
            read = _arguments_in(script, values)
            if read is not None:
                found[script.title] = checked_arguments(script, read)
        except (ScriptError, ValueError) as error:
            notices.append(str(error))
    return found


def _arguments_in(script: Script, values: Mapping[str, str]) -> dict[str, JsonValue] | None:
    """What an infotext says of a script's arguments, None where it has none of them."""
    if script.own is not None:
        return script.own.read(values)
    shown: dict[str, JsonValue] = {}
    for argument in script.valued:
        for key, factor in _keys(argument):
            if key in values and argument.name not in shown:
                shown[argument.name] = _read(argument, values[key], factor)
    if not shown and values.get(NAME) != script.title:
        return None
    first = script.arguments[0] if script.arguments else None
    if script.always_on and first is not None and first.look == "checkbox" and not tuple(_keys(first)):
        # Its numbers stand only in pictures that it was on for.
        shown[first.name] = True
    return shown


def _keys(argument: Argument) -> Iterator[tuple[str, float]]:
    """The infotext keys of an argument, its own first, each with what its numbers are multiplied by."""
    if argument.infotext is not None:
        yield argument.infotext, 1.0
    yield from argument.other_keys


def is_key_of_script(key: str) -> bool:
    """Whether an infotext key is one that a script may write."""
    own = (script.own for script in SCRIPTS if script.own is not None)
    return key in _KEYS or any(forms.is_key(key) for forms in own)


_KEYS: Final = frozenset(
    {NAME, *(key for script in SCRIPTS for argument in script.arguments for key, _ in _keys(argument))}
)


def _read(argument: Argument, text: str, factor: float) -> JsonValue:
    match argument.look:
        case "slider":
            return float(text[:40]) * factor
        case "checkbox":
            # Some extensions write the only box of a group as a list.
            return text.strip("[]") not in ("False", "")
        case "checkboxes":
            return [word.strip() for word in text.split(",")]
    return text
