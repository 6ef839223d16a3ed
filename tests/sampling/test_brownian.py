"""The Brownian tree is torchsde's."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
import torch
import torchsde
from hypothesis import given
from hypothesis import strategies as st

from modules.sampling.brownian import BrownianNoise, BrownianTree
from modules.sampling.noise import open_stream
from tests.sampling.k_diffusion_oracle import k_diffusion_sampling

START, END = 0.029167533, 14.614642


def cpu_normal(seed: int, shape: Sequence[int]) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def quiet_oracle() -> Iterator[None]:
    """torchsde warns when a time lies outside its interval by less than it rounds to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@given(
    seed=st.integers(0, 2**64 - 1),
    times=st.lists(st.tuples(st.floats(START, END), st.floats(START, END)), min_size=1, max_size=4),
)
def test_equals_torchsde_to_the_last_bit(seed: int, times: list[tuple[float, float]]) -> None:
    theirs = torchsde.BrownianTree(START, torch.zeros(4, 3, 5), END, entropy=seed)
    ours = BrownianTree(START, END, (4, 3, 5), seed, cpu_normal)
    for pair in times:
        low, high = min(pair), max(pair)
        if round(low, 6) < round(high, 6):
            assert torch.equal(ours.increment(low, high), theirs(low, high))


def test_increments_add_up_whatever_the_order_of_calls() -> None:
    tree = BrownianTree(START, END, (4, 8, 8), 7, cpu_normal)
    late, early = tree.increment(3.0, END), tree.increment(START, 3.0)
    fresh = BrownianTree(START, END, (4, 8, 8), 7, cpu_normal)
    assert torch.allclose(early + late, fresh.increment(START, END), atol=1e-5)


def test_times_outside_are_moved_to_the_ends() -> None:
    tree = BrownianTree(1.0, 2.0, (2, 2, 2), 7, cpu_normal)
    assert torch.equal(tree.increment(0.0, 5.0), tree.increment(1.0, 2.0))
    assert not tree.increment(3.0, 5.0).any()


def test_noise_equals_k_diffusions_sampler_for_a_list_of_seeds() -> None:
    sigmas = k_diffusion_sampling().get_sigmas_karras(20, START, END)
    x = torch.zeros(3, 4, 8, 8)
    theirs = k_diffusion_sampling().BrownianTreeNoiseSampler(x, sigmas[-2], sigmas[0], seed=[1, 2, 1])
    ours = BrownianNoise((4, 8, 8), float(sigmas[-2]), float(sigmas[0]), (1, 2, 1), cpu_normal)
    for sigma, following in pairwise(sigmas[:-1]):
        noise = ours(sigma, following)
        assert torch.equal(noise, theirs(sigma, following))
        assert torch.equal(noise[0], noise[2])


def test_noise_of_a_whole_batch_equals_k_diffusions_single_seed() -> None:
    x = torch.zeros(2, 4, 8, 8)
    theirs = k_diffusion_sampling().BrownianTreeNoiseSampler(x, START, END, seed=11)
    ours = BrownianNoise.for_whole_batch((2, 4, 8, 8), START, END, 11, cpu_normal)
    levels = torch.tensor([9.0, 3.0])
    assert torch.equal(ours(levels[0], levels[1]), theirs(levels[0], levels[1]))


def test_noise_is_normal_and_reversing_the_step_flips_it() -> None:
    noise = BrownianNoise((4, 64, 64), START, END, (5,), cpu_normal)
    levels = torch.tensor([9.0, 3.0])
    forward = noise(levels[0], levels[1])
    assert math.isclose(float(forward.std()), 1, abs_tol=0.02)
    assert torch.equal(forward, -noise(levels[1], levels[0]))


def test_the_source_of_the_noise_is_honoured() -> None:
    def draw(source: str) -> torch.Tensor:
        def normal(seed: int, shape: Sequence[int]) -> torch.Tensor:
            return open_stream(seed, source, torch.device("cpu")).draw(shape)  # type: ignore[arg-type]  # the parameters are those literals

        return BrownianNoise((4, 8, 8), START, END, (5,), normal)(torch.tensor(9.0), torch.tensor(3.0))

    assert torch.equal(draw("CPU"), draw("GPU"))
    assert not torch.allclose(draw("CPU"), draw("NV"))
