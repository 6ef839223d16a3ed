"""Our server's pictures against a second implementation's: the whole way from a request to 8-bit pixels.

The oracle gets the reading of each prompt, so our reading is judged too. `python -m tests.endtoend.compare 300` makes
many more requests; what it found stands in docs/exactness.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.amounts import amount, some
from tests.endtoend.compare import DEMO, REFINED, TOYS, Pair, ratios, sensitivity, server_of
from tests.endtoend.drawn_requests import drawn
from tests.endtoend.oracle_painter import Painter
from tests.endtoend.oracle_terms import KINDS
from tests.server.server import Server

pytestmark = pytest.mark.server

# torchsde says when a level lies beyond its range by a rounding error.
AT_THE_ENDS = "ignore:Should have t"
LOWEST = 55.0
"""Decibels. Sums are taken in another order, and few-step solvers carry a last bit far; a wrong rule gives 5 to 35."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_of(DEMO, tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def painter() -> Painter:
    torch.set_num_threads(1)
    return Painter(DEMO)


@pytest.mark.filterwarnings(AT_THE_ENDS)
@pytest.mark.parametrize(("number", "sampler"), some(enumerate(KINDS, start=1000), 2))
def test_every_sampler_paints_the_oracles_picture(server: Server, painter: Painter, number: int, sampler: str) -> None:
    assert min(ratios(server, painter, drawn(number, sampler))) > LOWEST


@pytest.mark.filterwarnings(AT_THE_ENDS)
@pytest.mark.parametrize("family", some(TOYS, 1))
def test_every_family_paints_the_oracles_pictures(tmp_path: Path, family: str) -> None:
    _paint_alike(tmp_path, family, None, range(2000, 2000 + amount(2, 20)))


@pytest.mark.long
@pytest.mark.filterwarnings(AT_THE_ENDS)
@pytest.mark.parametrize(("family", "refiner"), some(REFINED, 1))
def test_a_refiner_goes_on_as_the_oracles_does(tmp_path: Path, family: str, refiner: str) -> None:
    _paint_alike(tmp_path, family, refiner, range(3000, 3000 + amount(4, 40)))


def _paint_alike(folder: Path, family: str, refiner: str | None, numbers: range) -> None:
    torch.set_num_threads(1)
    pair = Pair.of(folder, family, refiner)
    with pair.served(folder / "data") as server:
        for number in numbers:
            request = pair.request(number)
            lowest = min(ratios(server, pair.painter, request))
            # "DPM adaptive" with a refiner, for one: which steps it takes may hang by a last bit.
            assert lowest > LOWEST or lowest > sensitivity(server, request) - 10, number
