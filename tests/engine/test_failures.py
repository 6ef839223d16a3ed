"""What a job dies of: no memory left, whoever says so, and a card that refuses all further work."""

import os
import threading
from pathlib import Path
from typing import cast

import pytest
import torch

from modules.engine.channel import Channel
from modules.engine.control import JobControl
from modules.engine.engine import Engine
from modules.engine.failures import is_lost
from modules.engine.model_keeper import ModelKeeper
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.machine import CudaDevice, Machine
from modules.hardware.out_of_memory import is_out_of_memory
from modules.protocol import DEVICE_LOST, CheckpointFailed, JobFailed, LoadCheckpoint
from modules.protocol.messages import Message
from tests.engine.conftest import checkpoint_at, job

CUDA = torch.device("cuda", 0)
CARD = choose_hardware(HardwareRequest(), Machine(cuda=(CudaDevice(0, "RTX 4090", (8, 9), 24 << 30),)))


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in"), True),
        (RuntimeError("CUDA driver error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (MemoryError(), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("The size of tensor a (4) must match the size of tensor b (3)"), False),
        (OSError("out of memory"), False),
    ],
)
def test_whoever_says_that_there_is_no_memory_is_understood(error: Exception, memory: bool) -> None:
    assert is_out_of_memory(error) is memory


@pytest.mark.parametrize(("refused", "lost"), [(0, False), (1, False), (9, True)], ids=["fine", "once", "for good"])
def test_a_card_is_lost_once_it_refuses_again_and_again(
    monkeypatch: pytest.MonkeyPatch, refused: int, lost: bool
) -> None:
    left = [refused]

    def synchronize(device: torch.device) -> None:
        assert device == CUDA
        if left[0]:
            left[0] -= 1
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert is_lost(CUDA) is lost
    assert not is_lost(torch.device("cpu"))


class Left(BaseException):
    """In the place of the end of this process."""


class Line:
    """The server's end, which hears everything."""

    def __init__(self) -> None:
        self.events: list[Message] = []
        self.open = threading.Event()

    def emit(self, event: Message) -> None:
        self.events.append(event)


def test_an_engine_that_lost_its_card_ends_and_leaves_its_job_to_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reported as failed the job would be over, and so would be every one after it."""
    line = Line()
    engine = Engine(cast(Channel, line), ["--use-cpu", "all"])
    engine._hardware = CARD

    def leave(status: int) -> None:
        raise Left(status)

    def lost(*_: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr("modules.engine.engine.logging.shutdown", lambda: None)
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lost)
    monkeypatch.setattr("modules.engine.engine.run_job", lost)
    with pytest.raises(Left, match=str(DEVICE_LOST)):
        engine._run(job(checkpoint_at(tmp_path / "any.safetensors"), "lost"), JobControl())
    assert not [event for event in line.events if isinstance(event, JobFailed)]


@pytest.mark.parametrize("error", [KeyError("weird"), ValueError("bad shape"), AttributeError("no such thing")])
def test_whatever_a_checkpoint_fails_with_is_reported_and_the_engine_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def load(*_: object) -> None:
        raise error

    line = Line()
    engine = Engine(cast(Channel, line), ["--use-cpu", "all"])
    monkeypatch.setattr(ModelKeeper, "load", load)
    engine._do(LoadCheckpoint(checkpoint=checkpoint_at(tmp_path / "odd.safetensors")), None)
    (failed,) = [event for event in line.events if isinstance(event, CheckpointFailed)]
    assert failed.title == "odd.safetensors" and type(error).__name__ in failed.cause
