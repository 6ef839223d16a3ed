"""Hypernetworks against their definition: attention with changed inputs, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor

from modules.weights.checkpoint import load_checkpoint
from modules.weights.networks.attention_inputs import AppliedHypernetwork, attention_inputs_changed
from modules.weights.networks.hypernetwork import read_hypernetwork
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint
from tests.networks import write_hypernetwork

CPU = torch.device("cpu")


@pytest.mark.parametrize("width", some([64, 32], 1))
def test_keys_and_values_are_made_of_the_changed_input(tmp_path: Path, width: int) -> None:
    """The toy's text is 64 wide, its picture 32 at the finest level: cross attention, or self attention."""
    unet = load_checkpoint(write_tiny_checkpoint(tmp_path / "tiny.safetensors")).unet
    first, second = (
        AppliedHypernetwork(read_hypernetwork(write_hypernetwork(tmp_path / f"{seed}.pt", width, seed)), multiplier)
        for seed, multiplier in ((0, 0.7), (1, -0.4))
    )
    attentions = [module for module in unet.modules() if isinstance(module, Attention)]
    assert any(attention.to_k.in_features == width for attention in attentions)
    for attention in attentions:
        x = torch.randn(1, 5, attention.to_k.in_features, generator=torch.Generator().manual_seed(2))
        for place, projection in enumerate((attention.to_k, attention.to_v)):
            wanted = x
            if x.shape[-1] == width:
                for one in (first, second):
                    wanted = wanted + one.multiplier * one.hypernetwork.nets[width][place](wanted)
            plain: Tensor = projection(x)
            with attention_inputs_changed(unet, [first, second], CPU):
                assert torch.equal(projection(x), torch.nn.functional.linear(wanted, projection.weight))
            assert torch.equal(projection(x), plain)
