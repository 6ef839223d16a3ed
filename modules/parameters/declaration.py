"""What is said of a generation parameter besides its type: page label and range, API default, infotext key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from modules.settings.choices import BOTH


class _SameAsPage:
    """Marks an API default that does not differ from the page's."""

    def __repr__(self) -> str:
        return "SAME_AS_PAGE"


SAME_AS_PAGE: Final = _SameAsPage()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One generation parameter as people and programs see it.

    `minimum`, `maximum` and `step` are the page's slider; what is refused is the pydantic constraint on the field.
    `choices` names the list that fills a dropdown (`samplers`, `schedules`, `hires_upscalers`, ...).
    `img2img_default` is given where A1111's img2img tab starts with another value than txt2img.
    """

    label: str
    infotext: str | None = None
    api_default: object = SAME_AS_PAGE
    img2img_default: object = SAME_AS_PAGE
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: str | None = None
    modes: frozenset[str] = BOTH


@dataclass(frozen=True, slots=True)
class DeclaredParameter:
    """A parameter together with the field that carries it."""

    name: str
    type: Any
    default: object
    parameter: Parameter

    def default_for(self, mode: str, *, api: bool = False) -> object:
        """The value that applies when nobody says one, for `mode` on the page or in the API."""
        if api and self.parameter.api_default is not SAME_AS_PAGE:
            return self.parameter.api_default
        if mode == "img2img" and self.parameter.img2img_default is not SAME_AS_PAGE:
            return self.parameter.img2img_default
        return self.default


def _parameter(field: FieldInfo) -> Parameter | None:
    return next((item for item in field.metadata if isinstance(item, Parameter)), None)


def declared_parameters(model: type[BaseModel]) -> Iterator[DeclaredParameter]:
    """Every field of `model` that carries a `Parameter`, in the order of declaration."""
    for name, field in model.model_fields.items():
        parameter = _parameter(field)
        if parameter is not None:
            yield DeclaredParameter(name, field.annotation, field.get_default(call_default_factory=True), parameter)


def parameter_of(model: type[BaseModel], name: str) -> DeclaredParameter:
    """The declaration of one field. Raises KeyError if the field is unknown or is no parameter."""
    for declared in declared_parameters(model):
        if declared.name == name:
            return declared
    raise KeyError(name)
