"""Every kind that whole pictures are compared with: what it does to one layer, by the second implementation's word."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modules.catalogue.network_names import split_name
from modules.weights.networks.updates import layer_update
from tests.endtoend.oracle_network_kinds import KINDS

SHAPES = {"wide": (8, 12), "square": (8, 8), "3x3": (8, 4, 3, 3), "1x1": (16, 8, 1, 1), "norm": (8,)}


# Only whole differences change norms.
CASES = [(kind, shape) for kind in KINDS for shape in SHAPES if shape != "norm" or kind == "full"]


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_a_layer_does_what_its_kind_is_defined_to_do(kind: str, shape: str) -> None:
    generator = torch.Generator().manual_seed(4)

    def draw(*size: int) -> Tensor:
        return (0.1 * torch.randn(*size, generator=generator)).double()

    weight, bias = draw(*SHAPES[shape]), draw(SHAPES[shape][0])
    made = KINDS[kind](weight, draw)
    parts = {split_name(f"layer.{name}")[1]: tensor.float() for name, tensor in made.parts.items()}
    layer = layer_update(parts)
    assert layer.weight is not None
    torch.testing.assert_close(layer.weight.delta(weight.float()), made.weight(weight).float(), atol=1e-5, rtol=1e-4)
    assert (layer.bias is None) == (made.bias is None)
    if made.bias is not None and layer.bias is not None:
        found = layer.bias if isinstance(layer.bias, Tensor) else layer.bias.delta(bias.float())
        torch.testing.assert_close(found, made.bias(bias).float())
