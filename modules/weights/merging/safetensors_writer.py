"""Writing a safetensors file whose tensors are computed one after the other: none waits for another in memory."""

from __future__ import annotations

import errno
import json
import math
import shutil
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import torch
from torch import Tensor

from modules.files import save_error, write_atomic_with
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import SAFETENSORS_DTYPES

# Called with the share of the bytes that are written, 0..1; what it raises ends the writing.
WriteProgress = Callable[[float], None]

_NAMES: Final = {dtype: name for name, dtype in SAFETENSORS_DTYPES.items()}
# The header is as long as a multiple of this, so that the tensors behind it lie at whole numbers of their elements.
_ALIGNMENT: Final = 8


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of the file to come. `compute` gives its values in `shape`, of any type; they are stored as `dtype`."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    compute: Callable[[], Tensor]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write_safetensors(
    path: Path, tensors: Sequence[PlannedTensor], metadata: Mapping[str, str], token: str, watch: WriteProgress
) -> None:
    """Write the file whole or not at all, through the temporary file of `token` beside it.

    Raises:
        SaveError: it can't be written; before anything is computed if the disk has no room for it, or a file of its
            name is there.
        CheckpointError: a value doesn't fit the type that it is to be stored in.
    """
    # The widest types first: each tensor then lies at a whole number of its elements.
    ordered = sorted(tensors, key=lambda tensor: -tensor.dtype.itemsize)
    total = sum(tensor.nbytes for tensor in ordered)
    _check_room(path, total)

    def write(file: BinaryIO) -> None:
        file.write(_header(ordered, metadata))
        written = 0
        for tensor in ordered:
            watch(written / max(1, total))
            file.write(_bytes(tensor))
            written += tensor.nbytes
        watch(1.0)

    try:
        write_atomic_with(path, write, token=token)
    except FileExistsError as error:
        raise save_error(path, error) from error


def _check_room(path: Path, needed: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise save_error(path, error) from error
    if path.exists():
        raise save_error(path, FileExistsError(errno.EEXIST, "File exists"))
    if free < needed:
        raise save_error(path, OSError(errno.ENOSPC, "No space left on device"))


def _header(tensors: Sequence[PlannedTensor], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    begin = 0
    for tensor in tensors:
        end = begin + tensor.nbytes
        entries[tensor.name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def _bytes(planned: PlannedTensor) -> memoryview:
    values = planned.compute()
    stored = values.to(planned.dtype)
    if stored.shape != planned.shape:
        raise CheckpointError(f"{planned.name} has another shape than its file's header says; fetch the file again.")
    narrowed = planned.dtype == torch.float16 and values.dtype != torch.float16
    if narrowed and bool(stored.isinf().any()) and not bool(values.isinf().any()):
        raise CheckpointError(
            f"{planned.name} holds values beyond float16's 65504: save as bfloat16, or in the files' own types."
        )
    return stored.contiguous().reshape(-1).view(torch.uint8).numpy().data
