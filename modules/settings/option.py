"""One setting, declared: its key, default, kind, limits, and what changing it means."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

OptionValue = bool | int | float | str | None | tuple[str, ...]
OptionKind = Literal["switch", "whole", "number", "text", "choice", "texts", "colour"]
Needs = Literal["nothing", "reload model", "reload UI", "restart"]
ChoiceSource = Literal[
    "",
    "checkpoints",
    "vaes",
    "modules",
    "upscalers",
    "face restorers",
    "loras",
    "hypernetworks",
    "samplers",
    "localizations",
    "tabs",
    "categories",
    "operations",
    "postprocessing",
    "options",
]

_HEX: Final = re.compile("#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_DECIMAL: Final = r"([0-9]{1,3}(?:\.[0-9]{1,20})?)"
_RGB: Final = re.compile(rf"rgba?\({_DECIMAL}, ?{_DECIMAL}, ?{_DECIMAL}(?:, ?[0-9.]{{1,20}})?\)")


class OptionError(ValueError):
    """A value that a setting can't take, or a setting that can't be changed; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A setting as the page, the API and config.json know it.

    `infotext` is the key under which a picture's parameters record it. `changes_picture` says that the same request
    gives another picture when it changes. `travels` says that the job carries it (see `OptionStore.snapshot`).
    `choices_from` names a list that only the running server knows; such values are not checked here.
    """

    key: str
    default: OptionValue
    label: str
    section: str
    kind: OptionKind
    choices: tuple[str, ...] = ()
    choices_from: ChoiceSource = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    hint: str = ""
    infotext: str | None = None
    changes_picture: bool = False
    travels: bool = False
    needs: Needs = "nothing"
    hidden: bool = False
    restrict_api: bool = False

    def checked(self, value: object) -> OptionValue:
        """`value` as this setting stores it (a whole number given as 2.0 becomes 2). Raises OptionError."""
        match self.kind:
            case "switch":
                return self._switch(value)
            case "whole" | "number":
                return self._number(value)
            case "texts":
                return self._texts(value)
            case "colour":
                return self._colour(value)
            case "text" | "choice":
                return self._text(value)

    def _switch(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise self._refusal(value, "true or false")

    def _number(self, value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._refusal(value, "a number")
        if self.kind == "whole":
            if value != int(value):
                raise self._refusal(value, "a whole number")
            value = int(value)
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = (
                f"at least {low:g}"
                if high is None
                else f"at most {high:g}"
                if low is None
                else f"from {low:g} to {high:g}"
            )
            raise self._refusal(value, bounds)
        return value if self.kind == "whole" else float(value)

    def _texts(self, value: object) -> tuple[str, ...]:
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(item, str) for item in value)
        ):
            raise self._refusal(value, "a list of texts")
        return tuple(str(item) for item in value)

    def _text(self, value: object) -> str | None:
        if value is None and self.default is None:
            return None
        if not isinstance(value, str):
            raise self._refusal(value, "a text")
        if self.choices and value not in self.choices:
            raise self._refusal(value, "one of " + ", ".join(f'"{choice}"' for choice in self.choices))
        return value

    def _colour(self, value: object) -> str:
        """As #rrggbb. Gradio's colour picker says rgba(…) with decimals, which Pillow does not read."""
        if isinstance(value, str) and _HEX.fullmatch(value):
            return value
        numbers = _RGB.fullmatch(value) if isinstance(value, str) else None
        if numbers is None:
            raise self._refusal(value, "a colour as #rrggbb")
        return "#" + "".join(f"{min(round(float(number)), 255):02x}" for number in numbers.groups())

    def _refusal(self, value: object, wanted: str) -> OptionError:
        return OptionError(f"The setting {self.key} takes {wanted}, not {_shown(value)}.")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
