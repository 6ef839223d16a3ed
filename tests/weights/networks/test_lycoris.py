"""lycoris-lora, which trains most of these kinds, as the oracle: what a layer answers with one of its networks on it.

Its `get_merged_weight` is not used: for LoHa and LoKr it scales twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lycoris.modules as lycoris
import pytest
import torch
from torch import Tensor, nn

from modules.catalogue.network_names import split_name
from modules.weights.networks.updates import layer_update


def _linear() -> nn.Module:
    return nn.Linear(12, 8)


def _conv() -> nn.Module:
    return nn.Conv2d(8, 16, 3, padding=1)


def _wide() -> nn.Module:
    return nn.Linear(12, 16)


# Which class with which arguments, on which layer.
CASES: dict[str, tuple[str, dict[str, Any], Callable[[], nn.Module]]] = {
    "LoRA": ("LoConModule", {}, _linear),
    "LoCon": ("LoConModule", {}, _conv),
    "LoCon Tucker": ("LoConModule", {"use_tucker": True}, _conv),
    "LoCon rank-stabilised": ("LoConModule", {"rs_lora": True}, _linear),
    "DoRA of rows": ("LoConModule", {"weight_decompose": True, "wd_on_out": True}, _linear),
    "DoRA of columns": ("LoConModule", {"weight_decompose": True, "wd_on_out": False}, _linear),
    "DoRA of rows, conv": ("LoConModule", {"weight_decompose": True, "wd_on_out": True}, _conv),
    "DoRA of columns, conv": ("LoConModule", {"weight_decompose": True, "wd_on_out": False}, _conv),
    "LoHa": ("LohaModule", {}, _linear),
    "LoHa conv": ("LohaModule", {}, _conv),
    "LoHa Tucker": ("LohaModule", {"use_tucker": True}, _conv),
    "LoHa DoRA": ("LohaModule", {"weight_decompose": True, "wd_on_out": True}, _linear),
    "LoKr": ("LokrModule", {"factor": 2}, _linear),
    "LoKr whole": ("LokrModule", {"factor": 4, "full_matrix": True}, _linear),
    "LoKr of four": ("LokrModule", {"factor": 4, "decompose_both": True}, lambda: nn.Linear(32, 32)),
    "LoKr conv": ("LokrModule", {"factor": 2}, _conv),
    "LoKr Tucker": ("LokrModule", {"factor": 2, "use_tucker": True}, _conv),
    "LoKr DoRA": ("LokrModule", {"factor": 2, "weight_decompose": True, "wd_on_out": True}, _linear),
    "GLoRA": ("GLoRAModule", {}, _linear),
    "GLoRA conv": ("GLoRAModule", {}, _conv),
    "OFT": ("DiagOFTModule", {}, _linear),
    "OFT constrained": ("DiagOFTModule", {"constraint": 0.01, "rescaled": True}, _conv),
    "BOFT": ("ButterflyOFTModule", {}, _wide),
    "BOFT constrained": ("ButterflyOFTModule", {"constraint": 0.01, "rescaled": True}, _conv),
    "IA3 output": ("IA3Module", {"train_on_input": False}, _linear),
    "IA3 input": ("IA3Module", {"train_on_input": True}, _linear),
    "norm": ("NormModule", {}, lambda: nn.LayerNorm(12)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_layer_answers_as_with_lycoris(case: str) -> None:
    name, arguments, make = CASES[case]
    torch.manual_seed(3)
    layer: Any = make()
    network = getattr(lycoris, name)("net", layer, multiplier=1.0, lora_dim=2, alpha=0.5, **arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    parts = {split_name(f"net.{key}")[1]: value.detach() for key, value in network.state_dict().items()}
    sample = torch.randn(2, 8, 5, 5) if isinstance(layer, nn.Conv2d) else torch.randn(2, 12)
    if case == "LoKr of four":
        sample = torch.randn(2, 32)
    before = layer(sample).detach()
    answers = _answer(network, layer, sample)
    update = layer_update(parts)
    assert update.weight is not None
    with torch.no_grad():
        update.weight.merge_into(layer.weight, 1.0)
        if update.bias is not None:
            layer.bias.add_(update.bias)
        assert not torch.allclose(before, answers, atol=1e-2)
        torch.testing.assert_close(layer(sample), answers, atol=2e-5, rtol=1e-4)


def _answer(network: Any, layer: Any, sample: Tensor) -> Tensor:
    network.apply_to()
    network.eval()
    try:
        answer: Tensor = layer(sample).detach()
        return answer
    finally:
        network.restore()
