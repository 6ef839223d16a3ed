"""An open file of named tensors: shapes first, then one tensor at a time, each in memory of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from modules.catalogue.safetensors_header import read_safetensors_header
from modules.weights.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class TensorFile:
    """Names with shapes, the file's own metadata, and a way to one tensor; valid inside `open_tensors` only.

    What `tensor` returns may be a window into the mapped file: copy it before the file is closed.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    tensor: Callable[[str], torch.Tensor]

    def below(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """The shapes of the tensors whose name starts with `prefix`, without it."""
        return {name[len(prefix) :]: shape for name, shape in self.shapes.items() if name.startswith(prefix)}


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file for reading.

    Raises:
        ModelFileError: the file is malformed or truncated.
    """
    header = read_safetensors_header(path)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            yield TensorFile(path, header.shapes, header.metadata, file.get_tensor)
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} can't be read as safetensors ({error}); fetch it again.") from error
