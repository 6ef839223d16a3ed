"""Modules without memory for their weights, while other threads construct theirs with it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from modules.weights.empty_weights import empty_weights


class Module(nn.Module):
    """A layer, and a number that no file has."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("levels", torch.arange(4.0))


def test_parameters_are_empty_and_buffers_are_not() -> None:
    before = nn.Module.register_parameter
    with empty_weights(), empty_weights():
        module = Module()
    assert {one.device.type for one in module.parameters()} == {"meta"}
    assert [one.tolist() for one in module.buffers()] == [[0, 1, 2, 3]]
    assert nn.Module.register_parameter is before
    assert {one.device.type for one in Module().parameters()} == {"cpu"}


def test_each_thread_gets_what_it_wants_and_nothing_stays() -> None:
    before = nn.Module.register_parameter
    together = threading.Barrier(4)

    def construct(empty: bool) -> set[str]:
        kinds: set[str] = set()
        for _ in range(200):
            together.wait(20)
            if empty:
                with empty_weights():
                    kinds |= {one.device.type for one in Module().parameters()}
            else:
                kinds |= {one.device.type for one in Module().parameters()}
        return kinds

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(construct, [True, True, False, False]))
    assert found == [{"meta"}, {"meta"}, {"cpu"}, {"cpu"}]
    assert nn.Module.register_parameter is before
