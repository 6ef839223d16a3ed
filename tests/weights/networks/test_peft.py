"""peft, which trains and saves some of these kinds, as the oracle: its own files, read and applied, answer as it does.

Recorded with peft 0.21.2 by `record_peft.py`. Its OFT, BOFT and IA3 have layouts of their own, which rotate or scale
what goes into a layer: of the layouts that are read lycoris is the oracle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from modules.catalogue.model_errors import ModelFileError
from modules.weights.networks.reading import read_network
from modules.weights.networks.updates import Layer

FOLDER: Final = Path(__file__).with_name("peft_files")


class PeftLayers(nn.Module):
    """What the adapters change."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 8)
        self.conv = nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, rows: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(rows), self.conv(picture)


_LINEAR: Final[dict[str, Any]] = {"r": 2, "target_modules": ["linear"]}
_BOTH: Final[dict[str, Any]] = {"r": 2, "target_modules": ["linear", "conv"]}
# peft's class and its arguments.
CASES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "LoRA": ("LoraConfig", {**_BOTH, "lora_alpha": 3}),
    "LoRA rank-stabilised": ("LoraConfig", {**_BOTH, "lora_alpha": 3, "use_rslora": True}),
    "LoRA, ranks and alphas by layer": (
        "LoraConfig",
        {**_BOTH, "lora_alpha": 3, "rank_pattern": {"linear": 4}, "alpha_pattern": {"conv": 5}},
    ),
    "LoRA with a bias": ("LoraConfig", {**_LINEAR, "lora_alpha": 3, "lora_bias": True}),
    "DoRA": ("LoraConfig", {**_BOTH, "lora_alpha": 3, "use_dora": True}),
    "LoHa": ("LoHaConfig", {**_BOTH, "alpha": 3}),
    "LoHa Tucker": ("LoHaConfig", {**_BOTH, "alpha": 3, "use_effective_conv2d": True}),
    "LoHa, alphas by layer": ("LoHaConfig", {**_BOTH, "alpha": 3, "alpha_pattern": {"conv": 5}}),
    "LoKr": ("LoKrConfig", {**_BOTH, "alpha": 3}),
    "LoKr of four": ("LoKrConfig", {**_BOTH, "alpha": 3, "decompose_both": True, "decompose_factor": 4, "r": 1}),
    "LoKr Tucker": ("LoKrConfig", {**_BOTH, "alpha": 3, "use_effective_conv2d": True, "r": 1}),
    "LoKr, ranks by layer": ("LoKrConfig", {**_BOTH, "alpha": 3, "rank_pattern": {"conv": 1}}),
}
REFUSED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "OFT": ("OFTConfig", {**_LINEAR, "r": 0, "oft_block_size": 4}),
    "IA3": ("IA3Config", {"target_modules": ["linear"], "feedforward_modules": ["linear"]}),
}


def slug(case: str) -> str:
    """The folder of a case."""
    return case.replace(",", "").replace(" ", "-").lower()


@pytest.mark.parametrize("case", CASES)
def test_a_file_of_peft_answers_as_peft_does(case: str) -> None:
    folder = FOLDER / slug(case)
    recorded = load_file(folder / "answers.safetensors")
    network = read_network(folder / "adapter_model.safetensors")
    layers = PeftLayers()
    layers.load_state_dict({name: recorded[name] for name in layers.state_dict()})
    with torch.no_grad():
        for name, layer in network.layers.items():
            _apply(layer, layers.get_submodule(name.removeprefix("base_model.model.")))
        answers = dict(zip(("linear", "conv"), layers(recorded["rows"], recorded["picture"]), strict=True))
    for name, answer in answers.items():
        torch.testing.assert_close(answer, recorded[f"after.{name}"], atol=2e-5, rtol=1e-4)
        changed = not torch.allclose(recorded[f"before.{name}"], answer, atol=1e-2)
        assert changed == (name in CASES[case][1]["target_modules"])


@pytest.mark.parametrize("case", REFUSED)
def test_what_peft_lays_out_otherwise_is_refused_in_a_sentence(case: str) -> None:
    with pytest.raises(ModelFileError, match=r"^adapter_model\.safetensors is not a LoRA"):
        read_network(FOLDER / slug(case) / "adapter_model.safetensors")


def _apply(layer: Layer, module: nn.Module) -> None:
    assert isinstance(module, nn.Linear | nn.Conv2d) and layer.weight is not None
    layer.weight.merge_into(module.weight, 1.0)
    if layer.bias is not None:
        assert module.bias is not None
        module.bias.add_(layer.bias)
