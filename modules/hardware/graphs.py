"""Forwards recorded once and replayed: a step's thousand kernels go to the device in one command (CUDA graphs).

A fast card computes a small picture's step in less time than Python takes to ask for its kernels one by one. A
recording holds for tensors of one shape, and for as long as nothing but them changes: each lives no longer than a pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# Tensors in, one tensor out.
Forward = Callable[..., Tensor]

# A pass has two or three: with and without negative prompt, a longer text.
_MOST: Final = 4
# How far a replay may be from the forward, as a share of its length: kernels that round otherwise are within.
_ALIKE: Final = 1e-2

REPLAYED: Final = "steps are replayed as CUDA graphs"


class Recorder(Protocol):
    """What a device offers for it."""

    def record(self, forward: Forward, inputs: Sequence[Tensor]) -> Forward:
        """`forward` for tensors like `inputs`, not run while it is recorded. Raises RuntimeError where it can't be."""
        ...


class CudaRecorder:
    """CUDA graphs through PyTorch. Previews on another thread go on meanwhile.

    Those of one recorder share their working memory: they never run at the same time, and what one has made is copied
    before the next one runs. A recorder is for one pass, since PyTorch refuses memory whose last graph is gone.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, forward: Forward, inputs: Sequence[Tensor]) -> Forward:
        places = [tensor.clone() for tensor in inputs]
        graph = torch.cuda.CUDAGraph()
        with self._left_in_order(graph), torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
            made = forward(*places)

        def replay(*given: Tensor) -> Tensor:
            for place, tensor in zip(places, given, strict=True):
                place.copy_(tensor)
            graph.replay()
            return made.clone()

        return replay

    @contextmanager
    def _left_in_order(self, graph: torch.cuda.CUDAGraph) -> Iterator[None]:
        """Does what PyTorch leaves undone where ending a recording fails, as it does if something can't be recorded.

        Its stream would stay the current one, from which no other thread may read; and to the allocator the recording
        would still go on, during which it gives no cached memory back, and says that there is none left.
        """
        with torch.cuda.stream(torch.cuda.current_stream()):
            try:
                yield
            except RuntimeError:
                device = torch.cuda.current_device()
                with suppress(RuntimeError):  # raised where the recording itself had ended, and only the work failed
                    torch._C._cuda_endAllocateToPool(device, self._pool)
                    torch._C._cuda_releasePool(device, self._pool)
                    # PyTorch's allocator of main memory goes on asking it whether it is being recorded.
                    _BROKEN_OFF.append(graph)
                raise


_BROKEN_OFF: Final[list[torch.cuda.CUDAGraph]] = []


class StepGraphs:
    """Records what steps have in common. The first `trouble` ends it: forwards then run as they are."""

    def __init__(self, recorder: Callable[[], Recorder]) -> None:
        """`recorder` makes the recorder of a pass."""
        self._recorder = recorder
        self.trouble = ""

    @property
    def summary(self) -> str:
        return f"steps are not replayed: {self.trouble}" if self.trouble else REPLAYED

    @contextmanager
    def replaying(self, forward: Forward) -> Iterator[Forward]:
        """While open, `forward` by its recordings. Whatever else it depends on must not change meanwhile."""
        recordings: dict[tuple[object, ...], _Recording] = {}
        recorder = self._recorder()

        def call(*inputs: Tensor) -> Tensor:
            alike = tuple((tensor.shape, tensor.stride(), tensor.dtype, tensor.device) for tensor in inputs)
            if alike not in recordings:
                if len(recordings) == _MOST:
                    return forward(*inputs)
                recordings[alike] = _Recording(self, recorder, forward)
            return recordings[alike](inputs)

        try:
            yield call
        finally:
            recordings.clear()

    def record(self, recorder: Recorder, forward: Forward, inputs: Sequence[Tensor]) -> Forward | None:
        """A recording, or None and a `trouble`."""
        try:
            return recorder.record(forward, inputs)
        except RuntimeError as error:
            self._give_up(f"recording failed with {type(error).__name__} (details in the log)", error)
            return None

    def check(self, made: Tensor, replayed: Tensor) -> bool:
        """Whether a replay gave what the forward gives; else there is a `trouble`. Waits for the device."""
        made, replayed = made.float(), replayed.float()
        if torch.equal(made.isfinite(), replayed.isfinite()):
            made, replayed = made.nan_to_num(0.0, 0.0, 0.0), replayed.nan_to_num(0.0, 0.0, 0.0)
            if (made - replayed).norm() <= _ALIKE * made.norm():
                return True
        self._give_up("a replayed step differed from the step itself")
        return False

    def _give_up(self, trouble: str, error: RuntimeError | None = None) -> None:
        self.trouble = trouble
        log.warning("Fast mode: %s.", trouble, exc_info=error)


class _Recording:
    """The life of one shape: the first call warms it up, the second records, the third checks; then it is replayed."""

    def __init__(self, graphs: StepGraphs, recorder: Recorder, forward: Forward) -> None:
        self._graphs = graphs
        self._recorder = recorder
        self._forward = forward
        self._warm = self._checked = False
        self._replay: Forward | None = None

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        if self._graphs.trouble:
            self._replay = None
        if self._replay is not None and self._checked:
            return self._replay(*inputs)
        if self._replay is not None:
            # By other tensors than those that were recorded: a replay that ignores what it is given is found out.
            made = self._forward(*inputs)
            self._checked = self._graphs.check(made, self._replay(*inputs))
            return made
        if self._warm and not self._graphs.trouble:
            self._replay = self._graphs.record(self._recorder, self._forward, inputs)
        self._warm = True
        return self._forward(*inputs)
