"""A device that is only counted: tensors without memory, and a budget of bytes that ends in an out-of-memory error."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class ByteCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # unannotated in torch
    """While open, counts the bytes of every storage that an operation makes and that is still alive.

    `known` modules' weights are not counted. More than `budget` raises torch.OutOfMemoryError, as a card would.
    """

    def __init__(self, known: Iterable[nn.Module] = (), budget: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # unannotated in torch
        self.live = self.peak = 0
        self._budget = budget
        self._known = {
            tensor.untyped_storage()._cdata for one in known for tensor in (*one.parameters(), *one.buffers())
        }
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._sizes or key in self._known:
            return
        self._sizes[key] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._gone, key)
        if self._budget is not None and self.live > self._budget:
            raise torch.OutOfMemoryError(f"{self.live} bytes are wanted, {self._budget} are there")

    def _gone(self, key: int) -> None:
        self.live -= self._sizes.pop(key)


def without_memory(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """`module`, built on the meta device, with tensors that know shape, type and device and hold nothing."""
    for part in module.modules():
        for name, tensor in list(part._parameters.items()):
            if tensor is not None:
                part._parameters[name] = nn.Parameter(_fake(tensor, mode), requires_grad=False)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = _fake(buffer, mode)
    return module


def _fake(tensor: torch.Tensor, mode: FakeTensorMode) -> torch.Tensor:
    with mode:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
