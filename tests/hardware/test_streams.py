"""What goes to a card and comes from it without making the processor wait: on a CUDA that writes down its calls."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from modules.hardware.pinned_weights import pin, unpin
from modules.hardware.streams import CudaStreams, SingleStream, is_done, sent, streams_for, synchronize

CARD = torch.device("cuda", 0)


class Stream:
    """A stream that records the calls on it."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said = name, said

    def wait_event(self, event: Event) -> None:
        self.said.append(f"{self.name} waits for {event.of}")

    def record_event(self) -> Event:
        return Event(self.name)


class Event:
    def __init__(self, of: str) -> None:
        self.of, self.over = of, False

    def query(self) -> bool:
        return self.over

    def synchronize(self) -> None:
        self.over = True


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    streams = [Stream("steps", said)]

    @contextmanager
    def stream(other: Stream) -> Iterator[None]:
        streams.append(other)
        yield
        streams.pop()

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("beside", said))
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: streams[-1])
    return said


def test_the_side_stream_starts_after_the_steps_so_far_and_the_steps_wait_for_it_only_where_they_say_so(
    said: list[str],
) -> None:
    streams = CudaStreams(CARD)
    with streams.side_stream(after=streams.current_event()):
        assert said == ["beside waits for steps"]
        assert cast(Event, streams.current_event()).of == "beside"  # what is computed inside runs there
    over = streams.side_event()
    assert (cast(Event, over).of, cast(Event, streams.current_event()).of) == ("beside", "steps")
    assert not is_done(over)
    streams.wait(over)
    assert said == ["beside waits for steps", "steps waits for beside"]
    synchronize(over)
    assert is_done(over)


def test_a_card_has_one_side_stream_for_good(said: list[str]) -> None:
    """PyTorch keeps what was freed on a stream for that stream: with one for each job memory would pile up."""
    streams_for.cache_clear()
    try:
        assert streams_for(CARD) is streams_for(torch.device("cuda", 0))
    finally:
        streams_for.cache_clear()


def test_without_a_card_everything_is_over_at_once() -> None:
    streams = streams_for(torch.device("cpu"))
    assert isinstance(streams, SingleStream)
    with streams.side_stream(after=streams.current_event()):
        given = torch.arange(6)
    assert is_done(streams.side_event())
    synchronize(streams.side_event())
    assert torch.equal(streams.fetch(given), given)
    assert sent(given, torch.device("cpu")) is given


def test_copies_from_and_to_a_card_go_through_locked_memory(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    """Any other memory would have the processor wait for the copy."""
    locked: list[str] = []
    empty = torch.empty

    def without_card(*size: Any, pin_memory: Any = False, **more: Any) -> Any:
        if pin_memory:
            locked.append("from the card")
        return empty(*size, **more)

    def lock(tensor: torch.Tensor) -> torch.Tensor:
        locked.append("to the card")
        return tensor

    with FakeTensorMode():
        there, here = torch.empty(2, 3, device="cuda"), torch.empty(2, 3)
        monkeypatch.setattr(torch, "empty", without_card)
        monkeypatch.setattr(torch.Tensor, "pin_memory", lock)
        fetched = CudaStreams(CARD).fetch(there)
        assert (fetched.device.type, fetched.shape, locked) == ("cpu", there.shape, ["from the card"])
        assert sent(here, CARD).device.type == "cuda"
        assert sent(there, CARD).device.type == "cuda"
    assert locked == ["from the card", "to the card"]


class CudaRuntime:
    """Registers what it likes; a refusal stays behind as the last error, for which the next launch is blamed."""

    def __init__(self, refused: set[int]) -> None:
        self.refused, self.last = refused, 0
        self.registered: set[int] = set()

    def cudaHostRegister(self, address: int, size: int, flags: int) -> int:
        if address in self.refused:
            self.last = 2
            return 2
        self.registered.add(address)
        return 0

    def cudaHostUnregister(self, address: int) -> int:
        self.registered.remove(address)
        return 0

    def launch(self, *_: object, device: str) -> None:
        last, self.last = self.last, 0
        if last:
            raise torch.AcceleratorError(f"CUDA error {last}")


def test_weights_that_cannot_be_locked_are_left_so_and_nobody_else_is_blamed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    weights = [torch.zeros(100), torch.zeros(200), torch.zeros(300)]
    refused = {weights[0].data_ptr(), weights[2].data_ptr()}
    runtime = CudaRuntime(refused)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    monkeypatch.setattr(torch, "ones", runtime.launch)
    with caplog.at_level(logging.WARNING, logger="modules.hardware.pinned_weights"):
        pinned = pin([*weights, weights[1].view(2, 100)])
    assert pinned == [weights[1].data_ptr()]
    runtime.launch(device="cuda")  # nothing is left to be blamed for
    (warning,) = caplog.records
    assert "could not be locked in main memory (CUDA error 2)" in warning.getMessage()
    unpin(pinned)
    assert runtime.registered == set()


def test_where_all_is_locked_nothing_is_said_nor_launched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = CudaRuntime(set())
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    monkeypatch.setattr(torch, "ones", SimpleNamespace())  # not to be called
    assert len(pin([torch.zeros(1), torch.zeros(2)])) == 2
    assert not caplog.records
