"""The NV source draws CUDA's numbers: public golden values, and streams that advance call by call."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.sampling.philox import PhiloxStream, _philox_words

# torch.randn on a CUDA device, manual_seed(0), shape (3, 4).
GOLDEN = [
    [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
    [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
    [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
]


def test_golden_values() -> None:
    torch.testing.assert_close(PhiloxStream(0).draw((3, 4)), torch.tensor(GOLDEN), atol=2e-6, rtol=0)


def test_random123_known_answers() -> None:
    """The published test vectors of Philox4x32-10 for counter and key of zeros and of ones."""
    first, second = _philox_words((0, 0), 0, 1)
    assert (int(first[0]), int(second[0])) == (0x6627E8D5, 0xE169C58D)


def test_the_second_draw_differs_and_streams_repeat() -> None:
    stream, again = PhiloxStream(42), PhiloxStream(42)
    first, second = stream.draw((4, 8, 8)), stream.draw((4, 8, 8))
    assert not torch.allclose(first, second)
    assert torch.equal(first, again.draw((4, 8, 8))) and torch.equal(second, again.draw((4, 8, 8)))


@given(st.integers(0, 2**64 - 1), st.integers(1, 40))
def test_an_element_does_not_depend_on_how_many_are_drawn(seed: int, count: int) -> None:
    few, many = PhiloxStream(seed).draw((count,)), PhiloxStream(seed).draw((count + 7,))
    assert torch.equal(few, many[:count])
    assert torch.isfinite(many).all()


def test_high_and_low_halves_of_the_seed_both_count() -> None:
    draws = [PhiloxStream(seed).draw((4,)).tolist() for seed in (1, 1 << 32, 1 + (1 << 32))]
    assert len({tuple(draw) for draw in draws}) == 3


def test_numbers_are_normal() -> None:
    draw = PhiloxStream(7).draw((4, 128, 128)).numpy()
    assert abs(draw.mean()) < 0.01 and abs(draw.std() - 1) < 0.01
    assert np.abs(draw).max() < 7
    assert draw.dtype == np.float32
