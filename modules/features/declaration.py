"""How a script and its arguments are declared, and how values for them are checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

from modules.settings.choices import BOTH

# How an argument looks on the page; it also says of which type its value is. A note is a text between the controls:
# it has no value, but A1111 counts it among the positional arguments of the API. Words are any list of texts. A picture
# is the name of one of the job's inputs, or empty, and pictures are a list of such. Units are a list of records with
# the same arguments in each. Boxes are a text with a list of [x1, x2, y1, y2, weight] in shares of the picture.
ArgumentControl = Literal[
    "slider",
    "checkbox",
    "radio",
    "dropdown",
    "checkboxes",
    "textbox",
    "note",
    "words",
    "picture",
    "pictures",
    "units",
    "boxes",
]
LONGEST_TEXT: Final = 1_000_000


class ScriptError(ValueError):
    """A script or an argument that cannot be used. The message is one sentence for the person who chose it."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a script, in the place that A1111's positional `script_args` give it.

    `choices` are the words of a radio, a dropdown or checkboxes, `spellings` other words for one of them; `listed`
    names the list of this machine that fills them instead (`upscalers`). `most` is what is accepted where that is more
    than the slider offers. `infotext` is the key under which the value stands in pictures, if any; one that is
    `of_grid` is written into the script's grids only. `other_keys` are keys of other programs for the same, each with
    the number that theirs are multiplied by. Those that are not `shown` are for programs; a page shows the others on
    `tabs`. `record` has the arguments of each unit, of which there are at most `most`, as of pictures.
    """

    name: str
    label: str
    default: JsonValue = ""
    look: ArgumentControl = "slider"
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    spellings: tuple[tuple[str, str], ...] = ()
    listed: str | None = None
    infotext: str | None = None
    other_keys: tuple[tuple[str, float], ...] = ()
    of_grid: bool = False
    shown: bool = True
    tabs: frozenset[str] = BOTH
    lines: int = 1
    record: tuple[Argument, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether a slider goes by whole numbers."""
        return self.look == "slider" and float(self.step or 1).is_integer()


# Arguments by name, as a request has them.
Values = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class RequestChanges:
    """What a script's arguments in an API change of the request that they come with: `fields` of it, and `settings`."""

    fields: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnForms:
    """How a script's arguments look to programs and in pictures, where they don't stand there one by one.

    `from_api` names the arguments of an API's `args`, in which pictures are base64 texts; it raises ScriptError.
    `written` gives the infotext keys and values of its arguments, and `read` the arguments of an infotext, None where
    it has none of this script; it raises ScriptError or ValueError. `is_key` knows its infotext keys.
    `changes` says what an API's `args` change of the request itself, given the size of the request, (width, height),
    and of the picture that it starts from, if any; it raises ScriptError.
    """

    from_api: Callable[[Sequence[JsonValue]], dict[str, JsonValue]]
    written: Callable[[Values], Iterator[tuple[str, object]]]
    read: Callable[[Mapping[str, str]], dict[str, JsonValue] | None]
    is_key: Callable[[str], bool]
    changes: Callable[[Sequence[JsonValue], tuple[int, int], tuple[int, int] | None], RequestChanges] | None = None


def first_is_ticked(script: Script, values: Values) -> bool:
    """Whether an always-on script acts by its first argument, a checkbox."""
    return bool(values.get(script.arguments[0].name))


def a_unit_is_enabled(script: Script, values: Values) -> bool:
    """Whether an always-on script acts by its units: one of them is enabled."""
    units = [values.get(argument.name) for argument in script.arguments if argument.look == "units"]
    return any(
        isinstance(unit, Mapping) and unit.get("enabled") for own in units if isinstance(own, list) for unit in own
    )


@dataclass(frozen=True, slots=True)
class Script:
    """One script. An `always_on` one stands beside the others and acts where `acts` says so.

    `pictures` is how many pictures it starts from on the img2img tab. A `named` one writes its title into pictures. One
    that `needs_mask` is off where there is none. `aliases` are titles that programs know it under, `*` standing for
    anything; under those of `orders` the API's positional arguments are these. On the page those of one `group` stand
    together. `file` stands before its controls in ui-config.json: for A1111's scripts the name of A1111's file. One
    that works `postprocesses`, on each finished picture, is on the page where the setting
    postprocessing_enable_in_main_ui names it.
    """

    title: str
    tabs: frozenset[str] = BOTH
    arguments: tuple[Argument, ...] = ()
    always_on: bool = False
    pictures: int = 1
    named: bool = False
    needs_mask: bool = False
    file: str = ""
    postprocesses: bool = False
    acts: Callable[[Script, Values], bool] = first_is_ticked
    own: OwnForms | None = None
    aliases: tuple[str, ...] = ()
    orders: tuple[tuple[str, tuple[str, ...]], ...] = ()
    group: str = ""

    def positional(self, title: str) -> tuple[Argument, ...]:
        """Its arguments in the order in which a program gives them that calls it by `title`."""
        for other, names in self.orders:
            if other.casefold() == title.casefold():
                return tuple(argument for name in names for argument in self.arguments if argument.name == name)
        return self.arguments

    def is_active(self, values: Values) -> bool:
        """Whether the script does anything with these arguments."""
        return not self.always_on or self.acts(self, values)

    @property
    def valued(self) -> tuple[Argument, ...]:
        """The arguments that have a value."""
        return tuple(argument for argument in self.arguments if argument.look != "note")


def checked_arguments(script: Script, values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A value for every argument of `script`, the default where none is given. Raises ScriptError."""
    return _checked_record(script, script.valued, values)


def _checked_record(script: Script, arguments: Sequence[Argument], values: Values) -> dict[str, JsonValue]:
    known = {argument.name for argument in arguments}
    foreign = next((name for name in values if name not in known), None)
    if foreign is not None:
        raise ScriptError(f"{script.title} has no argument {foreign[:60]!r}.")
    return {
        argument.name: _checked(script, argument, values.get(argument.name, argument.default)) for argument in arguments
    }


def _checked_units(script: Script, argument: Argument, value: JsonValue) -> JsonValue:
    if not isinstance(value, list) or not all(isinstance(unit, Mapping) for unit in value):
        raise ScriptError(f"{script.title}: {argument.label} is {_shown(value)}: {_wanted(argument)}.")
    if argument.most is not None and len(value) > argument.most:
        raise ScriptError(f"{script.title}: there are {len(value)} units; at most {argument.most:g} are possible.")
    return [_checked_record(script, argument.record, unit) for unit in value if isinstance(unit, Mapping)]


def _checked(script: Script, argument: Argument, value: JsonValue) -> JsonValue:
    match argument.look:
        case "slider":
            return _number(script, argument, value)
        case "checkbox":
            if isinstance(value, bool):
                return value
        case "textbox" | "picture" | "boxes":
            if isinstance(value, str) and len(value) <= LONGEST_TEXT:
                return value
        case "units":
            return _checked_units(script, argument, value)
        case "radio" | "dropdown":
            if isinstance(value, str) and argument.listed:
                return value
            if (word := _word(argument, value)) is not None:
                return word
        case "words":
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return value
        case "pictures":
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                if argument.most is not None and len(value) > argument.most:
                    raise ScriptError(
                        f"{script.title}: {argument.label} are {len(value)}; at most {argument.most:g} are possible."
                    )
                return value
        case "checkboxes":
            words = [_word(argument, item) for item in value] if isinstance(value, list) else [None]
            if None not in words:
                return [word for word in argument.choices if word in words]
    raise ScriptError(f"{script.title}: {argument.label} is {_shown(value)}: {_wanted(argument)}.")


def _number(script: Script, argument: Argument, value: JsonValue) -> JsonValue:
    low = argument.minimum if argument.minimum is not None else -math.inf
    high = max(x for x in (argument.maximum, argument.most, -math.inf) if x is not None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ScriptError(f"{script.title}: {argument.label} is {_shown(value)}: {_wanted(argument)}.")
    if not low <= value <= high or (argument.whole and not float(value).is_integer()):
        raise ScriptError(f"{script.title}: {argument.label} is {_shown(value)}: {_wanted(argument)}.")
    return int(value) if float(value).is_integer() else value


def _word(argument: Argument, value: JsonValue) -> str | None:
    """The choice that `value` means: a word of it in any case, or its place in the list, as A1111 takes both."""
    if isinstance(value, str):
        value = next((word for other, word in argument.spellings if other.casefold() == value.casefold()), value)
        return next((word for word in argument.choices if word.casefold() == value.casefold()), None)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(argument.choices):
        return argument.choices[value]
    return None


def _shown(value: JsonValue) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _wanted(argument: Argument) -> str:
    match argument.look:
        case "slider":
            high = max(x for x in (argument.maximum, argument.most, -math.inf) if x is not None)
            kind = "a whole number" if argument.whole else "a number"
            return f"it must be {kind} from {argument.minimum:g} to {high:g}"
        case "checkbox":
            return "it must be true or false"
        case "textbox" | "boxes":
            return "it must be a text"
        case "words":
            return "it must be a list of texts"
        case "picture":
            return "it must be the name of a picture that came with the request"
        case "pictures":
            return "it must be a list of names of pictures that came with the request"
        case "units":
            return "it must be a list of units, each with its arguments by name"
        case "checkboxes":
            return f"it must be a list out of {', '.join(argument.choices)}"
    return f"it must be one of {', '.join(argument.choices)}" if argument.choices else "it must be a name"
