"""Tensors of PyTorch's files, zip and legacy: windows into the mapped file until they are copied."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from modules.catalogue.kinds import Container
from modules.catalogue.torch_layout import TorchLayout, read_torch_layout, truncated
from modules.catalogue.unpickle import TensorRef
from modules.weights.checkpoint_errors import CheckpointError


@dataclass(frozen=True, slots=True)
class TorchFile:
    """A PyTorch file: its layout, and the way to a tensor's data."""

    layout: TorchLayout

    @property
    def path(self) -> Path:
        return self.layout.path

    @property
    def content(self) -> object:
        """The object that was saved; tensors in it are `TensorRef`."""
        return self.layout.content

    def tensor(self, ref: TensorRef) -> torch.Tensor:
        """The tensor as a window into the file; copy what is to outlive it.

        Raises:
            CheckpointError: the description reaches beyond its storage, or repeats elements to look larger than it is.
        """
        begins, name = self.layout.begins, self.path.name
        if ref.storage.key not in begins:
            raise CheckpointError(f"{name} lacks the data of one of its tensors; it is damaged.")
        begin = begins[ref.storage.key]
        if begin + (ref.storage.start + ref.storage.count) * ref.storage.dtype.itemsize > len(self.layout.data):
            raise truncated(self.path)
        return self._window(ref, begin)

    def _window(self, ref: TensorRef, begin: int) -> torch.Tensor:
        """The tensor whose storage begins at byte `begin`."""
        storage, dtype = ref.storage, torch_type(ref)
        stored = storage.count * storage.dtype.itemsize // dtype.itemsize
        if not ref.shape or 0 not in ref.shape:
            last = ref.offset + sum((extent - 1) * step for extent, step in zip(ref.shape, ref.stride, strict=True))
            if last >= stored or math.prod(ref.shape) > max(stored, 1 << 16):
                raise CheckpointError(
                    f"{self.path.name} describes a tensor larger than its data; it is damaged or forged."
                )
        else:
            return torch.empty(ref.shape, dtype=dtype)
        start = begin + storage.start * storage.dtype.itemsize
        flat = torch.frombuffer(self.layout.data, dtype=dtype, count=stored, offset=start)
        return flat.as_strided(ref.shape, ref.stride, ref.offset)


def read_torch_file(path: Path, container: Container) -> TorchFile:
    """Open a file that `torch.save` wrote; errors as `read_torch_layout`."""
    return TorchFile(read_torch_layout(path, container))


def torch_type(ref: TensorRef) -> torch.dtype:
    """The type of a tensor's elements."""
    found = getattr(torch, ref.dtype.name)
    if not isinstance(found, torch.dtype):
        raise TypeError(ref.dtype.name)
    return found
