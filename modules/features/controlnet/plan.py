"""What units need before a job is queued: control models and preprocessors by the names that they have here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import JsonValue

from modules.catalogue.controls import ControlFile
from modules.catalogue.model_errors import ModelNotFoundError
from modules.features.controlnet.declare import CONTROLNET, FROM_FOLDER, NO_MODEL, UnitArguments, units_in
from modules.features.controlnet.preprocessors.declare import UnknownPreprocessorError, find_preprocessor
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest

# The control model of a name. Raises ModelNotFoundError.
FindControl = Callable[[str], ControlFile]


def with_found_models(request: GenerationRequest, find: FindControl) -> GenerationRequest:
    """`request` with the titles of its units' models and the names of their preprocessors.

    Raises RequestError where one is not here, or where a unit lacks its picture or model.
    """
    values = request.scripts.get(CONTROLNET.title)
    if values is None:
        return request
    units = values["units"]
    assert isinstance(units, list)
    found = [_found(number, unit, request, find) for number, unit in enumerate(units) if isinstance(unit, Mapping)]
    scripts = {**request.scripts, CONTROLNET.title: {"units": found}}
    return request.model_copy(update={"scripts": scripts})


def _found(
    number: int, unit: Mapping[str, JsonValue], request: GenerationRequest, find: FindControl
) -> dict[str, JsonValue]:
    values = dict(unit)
    if not values["enabled"]:
        return values
    arguments = UnitArguments.read(values)
    where = f"ControlNet unit {number}"
    try:
        preprocessor = find_preprocessor(arguments.module)
        model = "" if arguments.model in ("", NO_MODEL) else find(arguments.model).title
    except (UnknownPreprocessorError, ModelNotFoundError) as error:
        raise RequestError(f"{where}: {error}") from error
    if not model and not preprocessor.model_free:
        raise RequestError(f"{where} has no model: choose one, or disable the unit.")
    if arguments.input_mode == FROM_FOLDER:
        raise RequestError(f"{where} takes its pictures from a folder, which only Generate and the API's calls read.")
    if not arguments.pictures[0][0] and request.mode != "img2img":
        raise RequestError(f"{where} has no picture: give it one, or disable the unit.")
    if arguments.guidance_start > arguments.guidance_end:
        start, end = arguments.guidance_start, arguments.guidance_end
        raise RequestError(f"{where} would begin at {start:g} and end before that, at {end:g}.")
    _ = arguments.weights
    return {**values, "module": preprocessor.name, "model": model or NO_MODEL}


def control_titles(request: GenerationRequest) -> tuple[str, ...]:
    """The titles of the control models that a request's units use, each once."""
    return tuple(dict.fromkeys(unit.model for unit in units_in(request.scripts) if unit.model != NO_MODEL))


def requests_of(resolved: ResolvedRequest) -> tuple[GenerationRequest, ...]:
    """The request of a job, and what its variants and inner jobs make of it where their features differ."""
    others = [one.fields for one in resolved.differing if "scripts" in one.fields]
    return (resolved.request, *(resolved.request.model_copy(update=fields) for fields in others))
