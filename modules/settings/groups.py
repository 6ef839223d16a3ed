"""Typed groups of options: frozen dataclasses whose fields are options, read from a mapping here and nowhere else.

@dataclass(frozen=True, slots=True)
class GridOptions:
    rows: int = option("n_rows")

read_options(GridOptions, {"n_rows": 2}).rows  # 2
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import field, fields
from functools import cache
from typing import Any, Final, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from modules.settings.option import OptionError
from modules.settings.tables import OPTIONS

Group = TypeVar("Group")
Value = TypeVar("Value")

_KEY: Final = "option"


def option(key: str) -> Any:  # noqa: ANN401 - a default for a field of any type
    """A field that holds the option `key`; its default is the declared one, with "" for a choice of nothing."""
    default = OPTIONS[key].default
    return field(default="" if default is None else default, metadata={_KEY: key})


def option_keys(group: type) -> dict[str, str]:
    """The option behind each field of `group`, by the field's name. Other fields are left out."""
    return {one.name: one.metadata[_KEY] for one in fields(group) if _KEY in one.metadata}


def read_options(group: type[Group], values: Mapping[str, object]) -> Group:
    """A group of options out of `values`, by their keys; an option that is missing there or None has its default.

    Numbers and switches may come as text, as in infotext and old config files. Raises OptionError, one sentence that
    names the option, for a value that its field cannot hold.
    """
    found = {}
    for name, (key, wanted) in _declared(cast(Hashable, group)).items():
        value = values.get(key)
        if value is not None:
            found[name] = _converted(key, value, wanted)
    return group(**found)


def option_value(key: str, values: Mapping[str, object]) -> object:
    """The option `key` out of `values`, or its default: for what goes through all options by their keys."""
    return values.get(key, OPTIONS[key].default)


@cache
def _declared(group: Hashable) -> dict[str, tuple[str, object]]:
    """Option and type of each field."""
    assert isinstance(group, type)
    types = get_type_hints(group)
    return {name: (key, types[name]) for name, key in option_keys(group).items()}


def _converted(key: str, value: object, wanted: object) -> object:
    if wanted is bool:
        return value.strip().lower() == "true" if isinstance(value, str) else bool(value)
    if wanted is int:
        return _number(key, value, int)
    if wanted is float:
        return _number(key, value, float)
    if wanted is str:
        return str(value)
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise OptionError(f"The option {key} must be one of {', '.join(get_args(wanted))}, not {value!r}.")
        return value
    if get_origin(wanted) is tuple and isinstance(value, list | tuple):
        return tuple(map(str, value))
    raise OptionError(f"The option {key} must be a list, not {value!r}.")


def _number(key: str, value: object, wanted: type[int] | type[float]) -> int | float:
    if wanted is int and isinstance(value, int):
        # Not by way of float, which does not hold every large seed.
        return int(value)
    try:
        return wanted(float(str(value)))
    except (ValueError, OverflowError) as error:
        raise OptionError(f"The option {key} must be a number, not {value!r}.") from error
