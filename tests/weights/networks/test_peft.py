"""peft, which trains and saves some of these kinds, as the oracle: its own files, read and applied, answer as it does.

Recorded with peft 0.21.2 and two older versions by `record_peft.py`. Its OFT, BOFT and IA3 have layouts of their own;
of the others lycoris is the oracle.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from modules.catalogue.model_errors import ModelFileError
from modules.weights.networks.reading import read_network
from modules.weights.networks.updates import Layer, layer_update

block_diag: Callable[..., Tensor] = torch.block_diag
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
_TARGETS: Final[dict[str, Any]] = {"target_modules": ["linear", "conv"]}
_BOTH: Final[dict[str, Any]] = {"r": 2, **_TARGETS}
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
    "OFT": ("OFTConfig", {**_BOTH, "r": 0, "oft_block_size": 4}),
    "OFT of few terms": ("OFTConfig", {**_BOTH, "r": 3, "oft_block_size": 0, "num_cayley_neumann_terms": 3}),
    "OFT by the transform": ("OFTConfig", {**_BOTH, "r": 0, "oft_block_size": 6, "use_cayley_neumann": False}),
    "OFT constrained": ("OFTConfig", {**_BOTH, "r": 0, "oft_block_size": 4, "coft": True, "eps": 0.5}),
    "OFT shared": ("OFTConfig", {**_BOTH, "r": 0, "oft_block_size": 4, "block_share": True}),
    "BOFT": ("BOFTConfig", {**_TARGETS, "boft_block_size": 4}),
    "BOFT of two steps": ("BOFTConfig", {**_TARGETS, "boft_block_size": 2, "boft_n_butterfly_factor": 2}),
    "IA3": ("IA3Config", {**_TARGETS, "feedforward_modules": ["linear"]}),
    "IA3 by a pattern": ("IA3Config", {**_TARGETS, "feedforward_modules": ".*conv"}),
}
# These were recorded with other versions, which made other rotations of what they stored.
OLD_CASES: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "OFT before 0.18": ("0.17.1", "OFTConfig", {**_BOTH, "r": 0, "oft_block_size": 4}),
    "OFT before 0.14": ("0.13.2", "OFTConfig", {**_BOTH, "r": 3}),
    "OFT before 0.14, constrained and shared": (
        "0.13.2",
        "OFTConfig",
        {**_BOTH, "r": 2, "coft": True, "eps": 0.05, "block_share": True},
    ),
}


def slug(case: str) -> str:
    """The folder of a case."""
    return case.replace(",", "").replace(" ", "-").lower()


@pytest.mark.parametrize("case", [*CASES, *OLD_CASES])
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
        arguments = CASES[case][1] if case in CASES else OLD_CASES[case][2]
        assert changed == (name in arguments["target_modules"])


def test_an_ia3_of_convolutions_without_its_configuration_is_refused_in_a_sentence(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "ia3" / "adapter_model.safetensors", tmp_path / "alone.safetensors")
    with pytest.raises(
        ModelFileError, match=r"^alone\.safetensors can't be applied: .* is said by its adapter_config\.json"
    ):
        read_network(tmp_path / "alone.safetensors")


def test_a_rotation_of_three_steps_is_the_product_of_its_butterflies() -> None:
    torch.manual_seed(1)
    blocks, weight = 0.3 * torch.randn(3, 4, 2, 2), torch.randn(3, 8)
    layer = layer_update({"boft_R": blocks})
    assert layer.weight is not None
    product = torch.eye(8)
    for step, rotations in enumerate(blocks):
        skew = 0.5 * (rotations - rotations.mT)
        turned = block_diag(*((torch.eye(2) - skew) @ torch.linalg.inv(torch.eye(2) + skew)))
        # Even ones of each 2·2^step inputs come first in the blocks: PEFT's permutation.
        order = torch.arange(8).view(-1, 2**step, 2).transpose(1, 2).flatten()
        permutation = torch.eye(8)[order]
        product = permutation @ turned @ permutation.T @ product
    torch.testing.assert_close(weight + layer.weight.delta(weight), weight @ product.T)


def _apply(layer: Layer, module: nn.Module) -> None:
    assert isinstance(module, nn.Linear | nn.Conv2d) and layer.weight is not None
    layer.weight.merge_into(module.weight, 1.0)
    if layer.bias is not None:
        assert module.bias is not None
        if isinstance(layer.bias, Tensor):
            module.bias.add_(layer.bias)
        else:
            layer.bias.merge_into(module.bias, 1.0)
