"""One buffer for the weights of a whole module, and quick conversion into it.

Loading is bound by memory, not by arithmetic. On a CPU three things cost more than reading the file: touching new
memory 4 KiB at a time (so huge pages are requested), PyTorch's scalar fp16 → bf16 conversion (two vectorised steps
through fp32 take half the time), and threads waiting for each other on a busy machine (one thread is enough here).
"""

import contextlib
import mmap
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch

from modules.hardware.alignment import aligned

_ALIGNMENT: Final = 64
_CHUNK: Final = 1 << 18  # elements: its fp32 form stays in the processor's cache


class WeightBuffer:
    """Copies tensors into one buffer, converted to one type on one device; it lives as long as any of the copies."""

    def __init__(
        self, shapes: Sequence[torch.Size], dtype: torch.dtype, device: torch.device, *, channels_last: bool
    ) -> None:
        self._dtype, self._device, self._channels_last = dtype, device, channels_last
        self._used = 0
        longest_row = max((shape[1:].numel() for shape in shapes if len(shape)), default=1)
        self._exact = torch.empty(max(_CHUNK, longest_row), dtype=torch.float32)
        self._half = torch.empty(len(self._exact), dtype=dtype)
        self._memory: torch.Tensor | None = None
        if device.type == "cpu":
            total = sum(aligned(shape.numel() * dtype.itemsize, _ALIGNMENT) for shape in shapes)
            self._memory = _reserve(max(total, _ALIGNMENT))

    def take(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of `tensor` in the type, place and memory layout of this buffer."""
        last = self._channels_last and tensor.ndim == 4
        if self._memory is None:
            layout = torch.channels_last if last else torch.contiguous_format
            return tensor.to(device=self._device, dtype=self._dtype, copy=True, memory_format=layout)
        if not last:
            return self._convert(tensor, self._place(tensor.shape))
        count, channels, height, width = tensor.shape
        return self._convert(tensor, self._place(torch.Size((count, height, width, channels))).permute(0, 3, 1, 2))

    def _place(self, shape: torch.Size) -> torch.Tensor:
        assert self._memory is not None
        size = shape.numel() * self._dtype.itemsize
        place = self._memory[self._used : self._used + size].view(self._dtype).view(shape)
        self._used += aligned(size, _ALIGNMENT)
        return place

    def _convert(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if source.ndim == 0 or {source.dtype, target.dtype} != {torch.float16, torch.bfloat16}:
            return target.copy_(source)
        rows = max(1, _CHUNK // max(1, source.shape[1:].numel()))
        for start in range(0, len(source), rows):
            part = source[start : start + rows]
            exact = _window(self._exact, part.shape).copy_(part)
            target[start : start + rows].copy_(_window(self._half, part.shape).copy_(exact))
        return target


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch's operations on this thread alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _window(buffer: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return buffer[: shape.numel()].view(shape)


def _reserve(size: int) -> torch.Tensor:
    """Bytes of private memory, on Linux in huge pages where the system has them."""
    if sys.platform != "linux":
        return torch.empty(size, dtype=torch.uint8)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)
