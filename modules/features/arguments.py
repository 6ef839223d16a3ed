"""The arguments of a script as typed values, read from a request here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, get_origin, get_type_hints

from modules.features.declaration import Script, ScriptError


@dataclass(frozen=True, slots=True)
class ScriptArguments:
    """The arguments that the making of pictures reads, one field for each, under the names that `script` declares."""

    script: ClassVar[Script]

    @classmethod
    def of(cls, scripts: Mapping[str, Mapping[str, Any]]) -> Self:
        """The script's arguments among those of a request's scripts. Raises ScriptError."""
        return cls.read(scripts.get(cls.script.title, {}))

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Values by the arguments' names; one that is missing or None has its default.

        Raises ScriptError for a value of another type than its argument's.
        """
        types = get_type_hints(cls)
        defaults = {argument.name: argument.default for argument in cls.script.valued}
        given = {}
        for one in fields(cls):
            value = values.get(one.name)
            given[one.name] = _typed(cls.script, one.name, defaults[one.name] if value is None else value, types)
        return cls(**given)


def _typed(script: Script, name: str, value: object, types: Mapping[str, Any]) -> object:
    wanted = types[name]
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if get_origin(wanted) is tuple and isinstance(value, list | tuple):
        return tuple(map(str, value))
    if isinstance(wanted, type) and type(value) is wanted:
        return value
    raise ScriptError(f"{script.title}: {name} is {repr(value)[:60]}, which is of another type.")
