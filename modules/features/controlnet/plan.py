"""What units need before a job is queued: control models and preprocessors by the names that they have here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from modules.catalogue.architecture import Architecture
from modules.catalogue.control_kinds import ControlKind, control_family, control_kind
from modules.catalogue.controls import ControlFile
from modules.catalogue.model_errors import ModelFileError, ModelNotFoundError
from modules.catalogue.refusals import control_refusal, shown_text_refusal
from modules.catalogue.tensor_shapes import read_tensor_shapes
from modules.features.controlnet.declare import (
    CONTROLNET,
    FROM_FOLDER,
    HIRES_OPTIONS,
    NO_MODEL,
    UnitArguments,
    units_in,
)
from modules.features.controlnet.preprocessors.declare import (
    REVISIONS,
    Preprocessor,
    UnknownPreprocessorError,
    find_preprocessor,
)
from modules.features.controlnet.preprocessors.plan import find_weights
from modules.files import FileState
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest

# Files whose kind is known: a plot asks for each of its pictures.
_KINDS: Final = 64


@dataclass(frozen=True, slots=True)
class ControlFiles:
    """What lies on this machine: `model` finds the control model of a name and raises ModelNotFoundError, preprocessors
    have their weights below the folders `annotators`.
    """

    model: Callable[[str], ControlFile]
    annotators: Sequence[Path]


def check_preprocessor(name: str, annotators: Sequence[Path]) -> None:
    """Raises RequestError where there is no such preprocessor, or where a file of its weights is missing."""
    try:
        _preprocessor(name, annotators)
    except (UnknownPreprocessorError, ModelNotFoundError) as error:
        raise RequestError(str(error)) from error


def _preprocessor(name: str, annotators: Sequence[Path]) -> Preprocessor:
    found = find_preprocessor(name)
    find_weights(found, annotators)
    return found


def with_found_models(request: GenerationRequest, files: ControlFiles) -> GenerationRequest:
    """`request` with the titles of its units' models and the names of their preprocessors.

    Raises RequestError where one is not here, or where a unit lacks its picture or model.
    """
    values = request.scripts.get(CONTROLNET.title)
    if values is None:
        return request
    units = values["units"]
    assert isinstance(units, list)
    found = [_found(number, unit, request, files) for number, unit in enumerate(units) if isinstance(unit, Mapping)]
    scripts = {**request.scripts, CONTROLNET.title: {"units": found}}
    return request.model_copy(update={"scripts": scripts})


def _found(
    number: int, unit: Mapping[str, JsonValue], request: GenerationRequest, files: ControlFiles
) -> dict[str, JsonValue]:
    values = dict(unit)
    if not values["enabled"]:
        return values
    arguments = UnitArguments.read(values)
    where = f"ControlNet unit {number}"
    try:
        preprocessor = _preprocessor(arguments.module, files.annotators)
        model = "" if arguments.model in ("", NO_MODEL) else _title(files.model(arguments.model))
    except (UnknownPreprocessorError, ModelNotFoundError, ModelFileError) as error:
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


def _title(file: ControlFile) -> str:
    """The title of a control model that can be used. Raises ModelFileError for any other file."""
    try:
        _kind_and_family(file.path, file.state)
    except OSError as error:
        raise ModelFileError(f"{file.path.name} can't be read: {error.strerror or error}.") from error
    return file.title


@lru_cache(maxsize=_KINDS)
def _kind_and_family(path: Path, state: FileState) -> tuple[ControlKind, str]:
    shapes, _ = read_tensor_shapes(path)
    kind = control_kind(path.name, shapes)
    return kind, control_family(kind, shapes)


def check_families(
    request: GenerationRequest, find: Callable[[str], ControlFile], passes: Sequence[tuple[str, Architecture | None]]
) -> None:
    """Refuse units whose models or preprocessors are for another family than the checkpoint of a pass that they act in.

    `passes` are the names and architectures of the checkpoints of the first pass and the hires pass; of those whose
    architecture is None the engine decides. Units have the titles of models, as `with_found_models` gives them.

    Raises RequestError with one sentence.
    """
    units = (request.scripts.get(CONTROLNET.title) or {}).get("units")
    for number, values in enumerate(units if isinstance(units, list) else ()):
        if not isinstance(values, Mapping) or not values["enabled"]:
            continue
        unit = UnitArguments.read(values)
        for left_out, (checkpoint, known) in zip((HIRES_OPTIONS[2], HIRES_OPTIONS[1]), passes, strict=False):
            if known is None or unit.hr_option == left_out:
                continue
            refusal = shown_text_refusal(unit.module, known.family, checkpoint) if unit.module in REVISIONS else None
            if unit.module not in REVISIONS and unit.model != NO_MODEL:
                file = find(unit.model)
                kind, made_for = _kind_and_family(file.path, file.state)
                refusal = control_refusal(file.path.name, kind, made_for, known.family, checkpoint)
            if refusal is not None:
                raise RequestError(f"ControlNet unit {number}: {refusal}")


def control_titles(request: GenerationRequest) -> tuple[str, ...]:
    """The titles of the control models that a request's units use, each once."""
    return tuple(dict.fromkeys(unit.model for unit in units_in(request.scripts) if unit.model != NO_MODEL))


def requests_of(resolved: ResolvedRequest) -> tuple[GenerationRequest, ...]:
    """The request of a job, and what its variants and inner jobs make of it where their features differ."""
    others = [one.fields for one in resolved.differing if "scripts" in one.fields]
    return (resolved.request, *(resolved.request.model_copy(update=fields) for fields in others))
