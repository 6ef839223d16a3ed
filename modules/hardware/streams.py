"""The two streams of a device: one computes the steps, the side stream copies or decodes, and neither makes the
processor wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

# A point on a stream that the other stream, or the processor, can wait for; None where there is nothing to wait for.
StreamEvent = torch.cuda.Event | None


class Streams(Protocol):
    """How copies or a decode run on the side stream, and wait for the current one where they must."""

    def side_stream(self, after: StreamEvent) -> AbstractContextManager[None]:
        """A context whose work runs on the side stream, once the current stream has reached `after`."""
        ...

    def side_event(self) -> StreamEvent:
        """An event after all that was sent to the side stream so far."""
        ...

    def current_event(self) -> StreamEvent:
        """An event after all that was sent to the current stream so far."""
        ...

    def wait(self, event: StreamEvent) -> None:
        """Have the current stream wait for `event`; the processor goes on."""
        ...

    def fetch(self, tensor: Tensor) -> Tensor:
        """A copy of `tensor` in main memory, complete once the current stream has come so far."""
        ...


class SingleStream:
    """A device that does everything in the order it is called for: nothing to wait for."""

    @contextmanager
    def side_stream(self, after: StreamEvent) -> Iterator[None]:
        yield

    def side_event(self) -> StreamEvent:
        return None

    def current_event(self) -> StreamEvent:
        return None

    def wait(self, event: StreamEvent) -> None:
        return None

    def fetch(self, tensor: Tensor) -> Tensor:
        return tensor.cpu()


class CudaStreams:
    """A second CUDA stream. Streams wait for each other on the device, by events: the step loop is never held up."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # unannotated in torch

    @contextmanager
    def side_stream(self, after: StreamEvent) -> Iterator[None]:
        if after is not None:
            self._side.wait_event(after)
        with torch.cuda.stream(self._side):
            yield

    def side_event(self) -> StreamEvent:
        event: StreamEvent = self._side.record_event()
        return event

    def current_event(self) -> StreamEvent:
        event: StreamEvent = torch.cuda.current_stream(self._device).record_event()
        return event

    def wait(self, event: StreamEvent) -> None:
        if event is not None:
            torch.cuda.current_stream(self._device).wait_event(event)

    def fetch(self, tensor: Tensor) -> Tensor:
        # To memory that is locked: a copy to any other would make the processor wait for it.
        there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return there.copy_(tensor, non_blocking=True)


def is_done(event: StreamEvent) -> bool:
    """Whether the device has reached `event`."""
    return event is None or bool(event.query())  # type: ignore[no-untyped-call]  # unannotated in torch


def synchronize(event: StreamEvent) -> None:
    """Make the processor wait until the device has reached `event`."""
    if event is not None:
        event.synchronize()


@cache
def streams_for(device: torch.device) -> Streams:
    """The streams of a device, always the same: PyTorch reuses memory freed on one stream on that stream alone."""
    return CudaStreams(device) if device.type == "cuda" else SingleStream()


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`. A CUDA card copies it from main memory when it gets there; the processor doesn't wait."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
