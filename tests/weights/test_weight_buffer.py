"""Weights in a buffer: the same values in every type and layout, in one piece of memory freed with the tensors."""

import gc
import sys
import threading
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.weights.weight_buffer import WeightBuffer, one_thread

CPU = torch.device("cpu")
TYPES = [torch.float32, torch.float16, torch.bfloat16]
SHAPES = [(), (1,), (7,), (300_001,), (5, 3), (513, 700), (4, 3, 1, 1), (33, 17, 3, 3), (2, 40_000, 3, 3), (0, 4)]


@pytest.mark.parametrize(("stored", "wanted"), list(product(TYPES, TYPES)), ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
def test_values_are_those_of_torch(stored: torch.dtype, wanted: torch.dtype, last: bool) -> None:
    tensors = [torch.randn(shape, generator=torch.Generator().manual_seed(3)).to(stored) for shape in SHAPES]
    buffer = WeightBuffer([tensor.shape for tensor in tensors], wanted, CPU, channels_last=last)
    for tensor in tensors:
        copied = buffer.take(tensor)
        assert copied.dtype is wanted and torch.equal(copied, tensor.to(wanted))
        layout = torch.channels_last if last and tensor.ndim == 4 else torch.contiguous_format
        assert copied.is_contiguous(memory_format=layout)
        assert copied.data_ptr() % 64 == 0 or not tensor.numel()


@given(st.lists(st.floats(width=16), min_size=1, max_size=20), st.sampled_from([torch.float16, torch.bfloat16]))
def test_every_half_number_converts_as_torch_does(values: list[float], stored: torch.dtype) -> None:
    """Infinities, NaN and denormals included: one step more through fp32 rounds no differently."""
    tensor = torch.tensor(values).to(stored)
    wanted = torch.bfloat16 if stored is torch.float16 else torch.float16
    copied = WeightBuffer([tensor.shape], wanted, CPU, channels_last=False).take(tensor)
    assert torch.equal(copied.nan_to_num(), tensor.to(wanted).nan_to_num())
    assert torch.equal(copied.isnan(), tensor.isnan())


def test_a_copy_is_a_copy() -> None:
    source = torch.ones(4)
    copied = WeightBuffer([source.shape], torch.float32, CPU, channels_last=False).take(source)
    source.zero_()
    assert copied.tolist() == [1, 1, 1, 1]
    copied.add_(1)
    assert source.tolist() == [0, 0, 0, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_goes_with_the_last_tensor() -> None:
    def size() -> int:
        return int(Path("/proc/self/statm").read_text().split()[0]) * 4096

    before = size()
    shape = torch.Size((64, 1 << 20))
    buffer = WeightBuffer([shape, torch.Size([4])], torch.float32, CPU, channels_last=False)
    small = [buffer.take(torch.zeros(shape)), buffer.take(torch.zeros(4))].pop()
    del buffer
    gc.collect()
    held = size()
    assert held - before > 200_000_000  # the small one still holds the whole piece
    del small
    gc.collect()
    assert held - size() > 200_000_000


def test_one_thread_is_given_back() -> None:
    seen: list[int] = []

    def work() -> None:
        torch.set_num_threads(3)
        with pytest.raises(RuntimeError), one_thread():
            seen.append(torch.get_num_threads())
            raise RuntimeError
        seen.append(torch.get_num_threads())
        torch.set_num_threads(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [1, 3]
