"""What the control models of a job, its preprocessors and its image encoders take of memory, by their files' heads."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from modules.catalogue.control_kinds import ControlKind, control_bytes, control_kind
from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelFileError, ModelNotFoundError
from modules.catalogue.tensor_shapes import read_tensor_shapes
from modules.features.controlnet.declare import NO_MODEL, UnitArguments, units_in
from modules.features.controlnet.plan import requests_of
from modules.features.controlnet.preprocessors.declare import REVISIONS, Preprocessor, find_preprocessor
from modules.features.controlnet.preprocessors.plan import find_weights
from modules.features.controlnet.seen import Fits, find_encoder, fits_adapter, fits_style, fits_text
from modules.features.shared import SharedCache
from modules.hardware.budget import AuxiliarySize, ControlSize
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.pictures.size import Size
from modules.weights.control.image_encoder import encoder_bytes
from modules.weights.control.ip_adapter import view_of

CONTROL_MODELS: Final = "control models"
"""The kind under which a `SharedCache` stores control models, by (path, state of the file, data type, ...)."""

# What an image encoder takes beside its weights: a few hundred tokens, and the states of all layers.
_ENCODER_WORK: Final = 100_000_000
# Networks of preprocessors compute in 32 bits.
_ITEMSIZE: Final = 4
# The longer side of a picture, in shorter ones: which pictures come is not known yet.
_ASPECT: Final = 1.5
_UNKNOWN_SIDE: Final = 512


def loaded_controls(shared: SharedCache, itemsize: int) -> frozenset[Path]:
    """The files whose control models, in numbers of `itemsize`, are in memory."""
    keys = (key for key in shared.keys(CONTROL_MODELS) if isinstance(key, tuple))
    return frozenset(path for path, _, dtype, *_ in keys if dtype.itemsize == itemsize)


def control_sizes(
    resolved: ResolvedRequest, files: Mapping[str, str], itemsize: int, there: Collection[Path] = ()
) -> tuple[ControlSize, ...]:
    """Those of the picture of a job whose control models are the largest together, in numbers of `itemsize`.

    `files` are the paths of the job's model files by "kind/name". The weights of those that are `there` already, whose
    room isn't free, count nothing. Nor does a file that can't be read: the pass that needs it raises what is wrong with
    it.
    """
    read: dict[str, ControlSize | None] = {}
    ways = [_sizes(request, files, itemsize, read, there) for request in requests_of(resolved)]
    return max(ways, key=lambda sizes: sum(size.weights for size in sizes))


def _sizes(
    request: GenerationRequest,
    files: Mapping[str, str],
    itemsize: int,
    read: dict[str, ControlSize | None],
    there: Collection[Path],
) -> tuple[ControlSize, ...]:
    """One for each model, which units with the same one share."""
    low: dict[str, bool] = {}
    for unit in units_in(request.scripts):
        if unit.model != NO_MODEL:
            low[unit.model] = low.get(unit.model, False) or unit.low_vram
    found = []
    for title, takes_turns in low.items():
        if title not in read:
            path = files.get(f"control/{title}")
            read[title] = None if path is None else _size(Path(path), itemsize)
        size = read[title]
        if size is not None:
            weights = 0 if Path(files[f"control/{title}"]) in there else size.weights
            found.append(ControlSize(weights, size.adds_residuals, takes_turns))
    return tuple(found)


def _size(path: Path, itemsize: int) -> ControlSize | None:
    try:
        shapes, _ = read_tensor_shapes(path)
        kind = control_kind(path.name, shapes)
    except (ModelFileError, OSError):
        return None
    return ControlSize(control_bytes(kind, shapes, itemsize), kind.adds_residuals)


def auxiliary_sizes(
    resolved: ResolvedRequest, files: Mapping[str, str], folders: ModelFolders, itemsize: int, text_width: int
) -> dict[Path, AuxiliarySize]:
    """What preprocessors' networks and image encoders of a job take, by their (first) files.

    Image encoders are in numbers of `itemsize`; `text_width` is that of the text which one of them may stand for.
    Those that OpenCV runs, in main memory, are left out, as is what is missing or can't be read: the pass that needs it
    raises what is wrong with it.
    """
    found: dict[Path, AuxiliarySize] = {}
    for request in requests_of(resolved):
        for unit in units_in(request.scripts):
            for path, size in _auxiliaries(unit, files, folders, itemsize, text_width, resolved.passes[0].size):
                known = found.get(path)
                found[path] = size if known is None or known.work < size.work else known
    return found


def _auxiliaries(
    unit: UnitArguments,
    files: Mapping[str, str],
    folders: ModelFolders,
    itemsize: int,
    text_width: int,
    pass_size: Size,
) -> Iterator[tuple[Path, AuxiliarySize]]:
    preprocessor = find_preprocessor(unit.module)
    control = files.get(f"control/{unit.model}")
    try:
        fits = fits_text(text_width) if unit.module in REVISIONS else _seen_by(control)
        encoder = None if fits is None else find_encoder(folders, fits)
        if encoder is not None:
            yield encoder, AuxiliarySize(encoder_bytes(encoder, itemsize), _ENCODER_WORK)
        weights = [path for path in find_weights(preprocessor, folders.annotators) if path.suffix != ".onnx"]
        if weights:
            yield weights[0], AuxiliarySize(sum(map(_bytes_of, weights)), _work(preprocessor, unit, pass_size))
    except (ModelFileError, ModelNotFoundError, OSError):
        return


def _seen_by(control: str | None) -> Fits | None:
    """Which image encoder the control model of this path needs; None for one that needs none. Raises ModelFileError."""
    if control is None:
        return None
    path = Path(control)
    shapes, _ = read_tensor_shapes(path)
    match control_kind(path.name, shapes):
        case ControlKind.IP_ADAPTER:
            return fits_adapter(*view_of(shapes))
        case ControlKind.STYLE:
            return fits_style(shapes["style_embedding"][-1])
    return None


def _bytes_of(path: Path) -> int:
    shapes, _ = read_tensor_shapes(path)
    return _ITEMSIZE * sum(math.prod(shape) for shape in shapes.values())


def _work(preprocessor: Preprocessor, unit: UnitArguments, pass_size: Size) -> int:
    """Bytes of a preprocessor's network at its peak."""
    side: float = _UNKNOWN_SIDE
    if preprocessor.fixed_side is not None:
        side = preprocessor.fixed_side
    elif preprocessor.resolution is not None:
        side = min(pass_size) if unit.pixel_perfect else preprocessor.resolution.value(unit.processor_res)
    return round(_ITEMSIZE * preprocessor.numbers_a_pixel * side * side * _ASPECT)
