"""What the control models of a job take of memory, read from their files' heads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from modules.catalogue.control_kinds import control_bytes, control_kind
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.tensor_shapes import read_tensor_shapes
from modules.features.controlnet.declare import NO_MODEL, units_in
from modules.features.controlnet.plan import requests_of
from modules.features.shared import SharedCache
from modules.hardware.budget import ControlSize
from modules.parameters import GenerationRequest, ResolvedRequest

CONTROL_MODELS: Final = "control models"
"""The kind under which a `SharedCache` stores control models, by (path, state of the file, data type, ...)."""


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
