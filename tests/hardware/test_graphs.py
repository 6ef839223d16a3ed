"""Recorded steps: replayed where they are right, given up with a sentence where not. Recorders are stand-ins."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.hardware.graphs import REPLAYED, CudaRecorder, StepGraphs
from tests.place_recorder import PlaceRecorder


class Counted:
    """A forward that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.runs += 1
        return torch.tanh(x) * t[:, None]


def step(number: int, rows: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(rows, 8, generator=generator), torch.full((rows,), float(1 + number))


def expected(number: int, rows: int = 2) -> Tensor:
    x, t = step(number, rows)
    return torch.tanh(x) * t[:, None]


def test_from_the_fourth_step_on_only_the_recording_runs() -> None:
    recorder, forward = PlaceRecorder(), Counted()
    graphs = StepGraphs(lambda: recorder)
    with graphs.replaying(forward) as call:
        made = [call(*step(number)) for number in range(20)]
    assert all(torch.equal(one, expected(number)) for number, one in enumerate(made))
    assert (recorder.recorded, recorder.replayed, forward.runs - recorder.replayed) == (1, 18, 3)
    assert graphs.summary == REPLAYED


def test_each_shape_has_its_own_and_a_fifth_runs_plainly() -> None:
    recorder, forward = PlaceRecorder(), Counted()
    graphs = StepGraphs(lambda: recorder)
    with graphs.replaying(forward) as call:
        for number in range(5):
            for rows in range(1, 6):
                assert torch.equal(call(*step(number, rows)), expected(number, rows))
    assert recorder.recorded == 4
    assert forward.runs - recorder.replayed == 4 * 3 + 5


def test_a_pass_begins_anew() -> None:
    """What a forward depends on beside its tensors may have changed: tiling, merged tokens, attention."""
    recorder, forward = PlaceRecorder(), Counted()
    graphs = StepGraphs(lambda: recorder)
    for _ in range(2):
        with graphs.replaying(forward) as call:
            for number in range(4):
                call(*step(number))
    assert recorder.recorded == 2


def test_a_replay_that_ignores_what_it_is_given_is_found_out_and_its_result_not_used() -> None:
    recorder, forward = PlaceRecorder(stale=True), Counted()
    graphs = StepGraphs(lambda: recorder)
    for _ in range(2):
        with graphs.replaying(forward) as call:
            for number in range(6):
                assert torch.equal(call(*step(number)), expected(number))
    assert recorder.recorded == 1
    assert graphs.summary == "steps are not replayed: a replayed step differed from the step itself"


@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError])
def test_a_failed_recording_leaves_the_plain_steps(error: type[RuntimeError], caplog: pytest.LogCaptureFixture) -> None:
    graphs = StepGraphs(lambda: PlaceRecorder(error=error))
    with graphs.replaying(Counted()) as call:
        for number in range(5):
            assert torch.equal(call(*step(number)), expected(number))
    assert error.__name__ in graphs.summary and "Fast mode" in caplog.text


def test_numbers_that_are_none_are_no_difference() -> None:
    graphs = StepGraphs(PlaceRecorder)
    with graphs.replaying(lambda x: torch.full_like(x, torch.nan)) as call:
        for _ in range(2):
            call(torch.zeros(2))
    assert graphs.check(torch.tensor([torch.nan, 1.0]), torch.tensor([torch.nan, 1.0]))
    assert not graphs.check(torch.tensor([torch.nan, 1.0]), torch.tensor([1.0, 1.0]))


class FakeCuda:
    """What CudaRecorder asks of torch.cuda. It ends a recording as PyTorch does: an error leaves that half done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, invalidated: bool) -> None:
        self.stream = "default"
        self.going_on: list[str] = []
        self.invalidated = invalidated
        cuda = self

        class Graph:
            def __init__(self, graph: object, pool: str, *, capture_error_mode: str) -> None:
                assert capture_error_mode == "thread_local"
                self._pool = pool

            def __enter__(self) -> None:
                cuda.before, cuda.stream = cuda.stream, "recording"
                cuda.going_on.append(self._pool)

            def __exit__(self, *error: object) -> None:
                if cuda.invalidated:
                    raise RuntimeError("operation failed due to a previous error during capture")
                cuda.going_on.remove(self._pool)
                cuda.stream = cuda.before

        @contextmanager
        def stream(wanted: str) -> Iterator[None]:
            before, self.stream = self.stream, wanted
            try:
                yield
            finally:
                self.stream = before

        def end(device: int, pool: str) -> None:
            if pool not in self.going_on:
                raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
            self.going_on.remove(pool)

        self.before = ""
        self.released: list[str] = []
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: object())
        monkeypatch.setattr(torch.cuda, "graph", Graph)
        monkeypatch.setattr(torch.cuda, "stream", stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self.stream)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda device, pool: self.released.append(pool))


@pytest.mark.parametrize(
    ("invalidated", "released"), [(True, ["pool"]), (False, [])], ids=["broken off", "ended, but out of memory"]
)
def test_a_recording_that_breaks_off_leaves_stream_and_allocator_in_order(
    monkeypatch: pytest.MonkeyPatch, invalidated: bool, released: list[str]
) -> None:
    cuda = FakeCuda(monkeypatch, invalidated=invalidated)
    broken_off: list[Any] = []
    monkeypatch.setattr("modules.hardware.graphs._BROKEN_OFF", broken_off)

    def forward(x: Tensor) -> Tensor:
        assert cuda.stream == "recording"
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(RuntimeError):
        CudaRecorder().record(forward, [torch.zeros(1)])
    assert (cuda.stream, cuda.going_on, cuda.released, len(broken_off)) == ("default", [], released, len(released))
