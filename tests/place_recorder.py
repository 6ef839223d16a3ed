"""A recorder that replays as a device does: the same work over the same places, whose contents are changed before."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from modules.hardware.graphs import Forward


class PlaceRecorder:
    """Counts. `stale` forgets to change the places, `error` is raised instead of recording."""

    def __init__(self, *, stale: bool = False, error: type[RuntimeError] | None = None) -> None:
        self.recorded = self.replayed = 0
        self._stale = stale
        self._error = error

    def record(self, forward: Forward, inputs: Sequence[Tensor]) -> Forward:
        if self._error is not None:
            raise self._error("operation not permitted when stream is capturing")
        self.recorded += 1
        places = [tensor.clone() for tensor in inputs]

        def replay(*given: Tensor) -> Tensor:
            self.replayed += 1
            for place, tensor in zip(places, given, strict=True):
                if not self._stale:
                    place.copy_(tensor)
            return forward(*places)

        return replay
