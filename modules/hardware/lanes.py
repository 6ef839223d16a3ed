"""Two lanes to a device: one computes while the other copies, and neither makes the processor wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

# A moment on a lane that the other one can wait for; None where nothing need be waited for.
Mark = torch.cuda.Event | None


class Lanes(Protocol):
    """How copies run beside the work, and wait for it where they must."""

    def copying(self, after: Mark) -> AbstractContextManager[None]:
        """A context in which copies run on their own lane, once `after` is over on the computing one."""
        ...

    def copied(self) -> Mark:
        """The end of the copies that were begun so far."""
        ...

    def computed(self) -> Mark:
        """The end of the work that was begun so far."""
        ...

    def wait_for(self, mark: Mark) -> None:
        """Let the work that follows start only after `mark`."""
        ...


class OneLane:
    """Devices on which everything happens in the order it is asked for: nothing to wait for."""

    @contextmanager
    def copying(self, after: Mark) -> Iterator[None]:
        yield

    def copied(self) -> None:
        return None

    def computed(self) -> None:
        return None

    def wait_for(self, mark: Mark) -> None:
        return None


class CudaLanes:
    """A second CUDA stream for copies. Waiting happens on the device, by events: the step loop is never held up."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @contextmanager
    def copying(self, after: Mark) -> Iterator[None]:
        if after is not None:
            self._copies.wait_event(after)
        with torch.cuda.stream(self._copies):
            yield

    def copied(self) -> Mark:
        mark: Mark = self._copies.record_event()
        return mark

    def computed(self) -> Mark:
        mark: Mark = torch.cuda.current_stream(self._device).record_event()
        return mark

    def wait_for(self, mark: torch.cuda.Event | None) -> None:
        if mark is not None:
            torch.cuda.current_stream(self._device).wait_event(mark)


def lanes_to(device: torch.device) -> Lanes:
    return CudaLanes(device) if device.type == "cuda" else OneLane()
