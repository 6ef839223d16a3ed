"""Two lanes to a device: one for the steps, one for what happens beside them, and neither makes the processor wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

# A moment on a lane that the other one, or the processor, can wait for; None where nothing need be waited for.
Mark = torch.cuda.Event | None


class Streams(Protocol):
    """How copies or a decode run beside the work, and wait for it where they must."""

    def beside(self, after: Mark) -> AbstractContextManager[None]:
        """A context in which all runs on the lane beside, once `after` is over on the computing one."""
        ...

    def done_beside(self) -> Mark:
        """The end of what was begun beside so far."""
        ...

    def computed(self) -> Mark:
        """The end of the work that was begun so far."""
        ...

    def wait_for(self, mark: Mark) -> None:
        """Let the work that follows start only after `mark`."""
        ...

    def fetch(self, tensor: Tensor) -> Tensor:
        """`tensor` in main memory, where it is whole once the lane in use has come so far."""
        ...


class SingleStream:
    """Devices on which everything happens in the order it is asked for: nothing to wait for."""

    @contextmanager
    def beside(self, after: Mark) -> Iterator[None]:
        yield

    def done_beside(self) -> Mark:
        return None

    def computed(self) -> Mark:
        return None

    def wait_for(self, mark: Mark) -> None:
        return None

    def fetch(self, tensor: Tensor) -> Tensor:
        return tensor.cpu()


class CudaStreams:
    """A second CUDA stream. Waiting happens on the device, by events: the step loop is never held up."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @contextmanager
    def beside(self, after: Mark) -> Iterator[None]:
        if after is not None:
            self._beside.wait_event(after)
        with torch.cuda.stream(self._beside):
            yield

    def done_beside(self) -> Mark:
        mark: Mark = self._beside.record_event()
        return mark

    def computed(self) -> Mark:
        mark: Mark = torch.cuda.current_stream(self._device).record_event()
        return mark

    def wait_for(self, mark: Mark) -> None:
        if mark is not None:
            torch.cuda.current_stream(self._device).wait_event(mark)

    def fetch(self, tensor: Tensor) -> Tensor:
        # To memory that is locked: a copy to any other would make the processor wait for it.
        there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return there.copy_(tensor, non_blocking=True)


def is_over(mark: Mark) -> bool:
    """Whether the device has come as far as `mark`."""
    return mark is None or bool(mark.query())  # type: ignore[no-untyped-call]


def until(mark: Mark) -> None:
    """Hold the processor until the device has come as far as `mark`."""
    if mark is not None:
        mark.synchronize()


@cache
def streams_for(device: torch.device) -> Streams:
    """The lanes of a device, always the same: what was freed on one stream, PyTorch keeps for that stream alone."""
    return CudaStreams(device) if device.type == "cuda" else SingleStream()


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`. From main memory a CUDA card fetches it when it gets there, and nobody waits for it."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
