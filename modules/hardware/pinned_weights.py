"""A module's weights in main memory, and the copies of them on the device for as long as they are needed there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from modules.hardware.alignment import aligned

_log = logging.getLogger(__name__)

# What cuBLAS and cuDNN like their operands to start at.
_ALIGNMENT: Final = 256


@dataclass(slots=True)
class PinnedWeights:
    """The tensors of a module, and their data `in_main_memory`, which stays allocated while they use copies."""

    tensors: tuple[Tensor, ...]
    in_main_memory: tuple[Tensor, ...]

    @staticmethod
    def of(module: nn.Module) -> PinnedWeights:
        """Those of `module`, which lies in main memory."""
        tensors = (*module.parameters(), *module.buffers())
        return PinnedWeights(tensors, tuple(tensor.data for tensor in tensors))

    @property
    def size(self) -> int:
        """Bytes that they need in a buffer on the device, gaps for alignment among them."""
        return sum(aligned(tensor.numel() * tensor.element_size(), _ALIGNMENT) for tensor in self.in_main_memory)

    def views_in(self, buffer: Tensor) -> tuple[Tensor, ...]:
        """Tensors of the same shapes, types and memory layouts inside `buffer`, flat bytes on the device."""
        views, used = [], 0
        for tensor in self.in_main_memory:
            length = tensor.numel() * tensor.element_size()
            typed = buffer[used : used + length].view(tensor.dtype)
            views.append(typed.as_strided(tensor.shape, tensor.stride()))
            used += aligned(length, _ALIGNMENT)
        return tuple(views)

    def set_data(self, values: Sequence[Tensor]) -> None:
        """Make the module compute with `values`, in the order of `tensors`."""
        for tensor, value in zip(self.tensors, values, strict=True):
            tensor.data = value

    def restore(self) -> None:
        """Make the module compute with the data in main memory again; changes made to the copies are lost."""
        self.set_data(self.in_main_memory)

    def to_device(self, device: torch.device) -> None:
        """Make the module compute with copies on `device`."""
        self.set_data([tensor.to(device, non_blocking=True, copy=True) for tensor in self.in_main_memory])

    def write_back(self) -> None:
        """Copy the data on the device, which a merged network may have changed, back to main memory, and `restore`."""
        for data, tensor in zip(self.in_main_memory, self.tensors, strict=True):
            if tensor.data is not data:
                data.copy_(tensor.data, non_blocking=True)
        self.restore()


@contextmanager
def onloaded(module: nn.Module, device: torch.device) -> Iterator[None]:
    """While open, `module` computes on `device`; where it lay elsewhere it is back there then."""
    if all(tensor.device == device for tensor in module.parameters()):
        yield
        return
    weights = PinnedWeights.of(module)
    weights.to_device(device)
    try:
        yield
    finally:
        weights.restore()


def pin(tensors: Sequence[Tensor]) -> list[int]:
    """Lock the main memory behind `tensors` so that CUDA copies from it without the processor's help.

    Returns the addresses to `unpin`. The memory is registered where it lies: pinned allocations are rounded up to a
    power of two and would hold every weight twice for a while. What can't be registered (a limit on locked memory) is
    copied all the same, only slower, and the log says so.
    """
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    errors = {address: _register(address, size) for address, size in storages.items() if size}
    refused = [address for address, error in errors.items() if error]
    if refused:
        _forget_error()
        size, first = sum(storages[address] for address in refused), errors[refused[0]]
        _log.warning(
            "%.1f GB of weights could not be locked in main memory (CUDA error %d): they come to the card slower.",
            size / 1e9,
            first,
        )
    return [address for address, error in errors.items() if not error]


def unpin(addresses: Sequence[int]) -> None:
    """Unlock memory that `pin` locked, before it is given back."""
    for address in addresses:
        torch.cuda.cudart().cudaHostUnregister(address)  # type: ignore[no-untyped-call]  # unannotated in torch


def _register(address: int, size: int) -> int:
    # It answers 0 for success, else the error; flags 0 are the default ones.
    return int(torch.cuda.cudart().cudaHostRegister(address, size, 0))  # type: ignore[no-untyped-call]  # unannotated in torch


def _forget_error() -> None:
    """Have the CUDA runtime forget the error it answered with: the next launch would be blamed for it.

    cudaGetLastError would do it, but PyTorch binds no such name. It calls it after every launch, so here is one to take
    the blame; a card that is really broken will say so again.
    """
    try:
        torch.ones(1, device="cuda")
    except RuntimeError as error:
        _log.debug("Taken back: %s", error)
