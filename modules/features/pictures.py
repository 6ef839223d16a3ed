"""The pictures among the arguments of scripts: names of a job's inputs, found and exchanged in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from modules.features.declaration import Argument
from modules.features.table import scripts_of


def script_pictures(scripts: Mapping[str, Mapping[str, JsonValue]]) -> Iterator[str]:
    """The names of the pictures among the arguments of a request's scripts, in their order."""
    names: list[str] = []

    def collect(name: str) -> str:
        names.append(name)
        return name

    with_pictures(scripts, collect)
    yield from names


def with_pictures(
    scripts: Mapping[str, Mapping[str, JsonValue]], exchange: Callable[[str], str]
) -> dict[str, dict[str, JsonValue]]:
    """`scripts` with `exchange` of each picture's name in its place; empty ones stay empty."""
    own = {script.title: _exchanged(script.arguments, values, exchange) for script, values in scripts_of(scripts)}
    return {title: own.get(title, dict(values)) for title, values in scripts.items()}


def _exchanged(
    arguments: Sequence[Argument], values: Mapping[str, JsonValue], exchange: Callable[[str], str]
) -> dict[str, JsonValue]:
    made = dict(values)
    for argument in arguments:
        value = values.get(argument.name)
        if argument.look == "picture" and isinstance(value, str) and value:
            made[argument.name] = exchange(value)
        elif argument.look == "pictures" and isinstance(value, list):
            made[argument.name] = [exchange(one) if isinstance(one, str) and one else one for one in value]
        elif argument.look == "units" and isinstance(value, list):
            made[argument.name] = [
                _exchanged(argument.record, unit, exchange) if isinstance(unit, Mapping) else unit for unit in value
            ]
    return made
