"""Pictures with networks against the second implementation's, for kinds, namings and families of network files."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.amounts import amount, some
from tests.endtoend.compare import answered, checkpoint_of, server_of
from tests.endtoend.drawn_requests import drawn
from tests.endtoend.network_oracle import NAMINGS, DrawnNetwork
from tests.endtoend.oracle import painted, peak_ratio
from tests.endtoend.oracle_network_kinds import KINDS
from tests.endtoend.oracle_painter import Painter
from tests.endtoend.test_oracle import AT_THE_ENDS

pytestmark = pytest.mark.server

ALIKE = 48.0
"""Decibels. Networks as strong as these, so that any picture shows them, multiply rounding: the lowest was 52.9."""


FAMILIES = ("SDXL", "SD1", "SD2")


def portions() -> list[Any]:
    """A family, and which kinds in which namings: of all that there are a few, in the long suite all, in portions."""
    if not amount(0, 1):
        return [pytest.param(FAMILIES[0], some(product(KINDS, NAMINGS), 5), id=FAMILIES[0])]
    return [
        pytest.param(family, [(kind, naming) for kind in KINDS], id=f"{family}, {naming}")
        for family, naming in product(FAMILIES, NAMINGS)
    ]


@pytest.mark.filterwarnings(AT_THE_ENDS)
@pytest.mark.parametrize(("family", "networks"), portions())
def test_every_kind_of_network_in_every_naming_paints_the_oracles_picture(
    tmp_path: Path, family: str, networks: list[tuple[str, str]]
) -> None:
    torch.set_num_threads(1)
    checkpoint = checkpoint_of(family, tmp_path)
    with server_of(checkpoint, tmp_path / "data") as server:
        painter = Painter(checkpoint, family)
        plain = drawn(2000)
        bare = painted(painter, plain.body, plain.first, plain.hires)
        for number, (kind, naming) in enumerate(networks):
            path = tmp_path / "data" / "models" / "Lora" / f"n{number}.safetensors"
            network = DrawnNetwork(painter, path, kind, naming, number)
            prompt = f"{plain.body['prompt']}<lora:n{number}:0.6:-0.8>"
            request = replace(plain, body={**plain.body, "prompt": prompt})
            ours = answered(server, request.body)[0]
            with network.merged(0.6, -0.8):
                theirs = painted(painter, request.body, request.first, request.hires)
            assert peak_ratio(ours, theirs) > ALIKE, (kind, naming)
            # The request would be blind to the network otherwise.
            assert peak_ratio(ours, bare) < ALIKE, (kind, naming)
