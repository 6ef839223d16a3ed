"""Network files for the toy checkpoints: every layer that trainers train, in kohya's naming."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tests.checkpoints import Architecture, make_modules, write_tensors

_UNET = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "proj_in", "conv1")
_TEXT = ("q_proj", "v_proj", "fc1")


def trained_layers(architecture: Architecture) -> Iterator[tuple[str, nn.Module]]:
    """(name in kohya's spelling, module) of the layers of a toy's UNet and text encoders that networks change."""
    modules = make_modules(architecture)
    for name, module in modules.unet.named_modules():
        if name.endswith(_UNET):
            yield f"lora_unet_{name}".replace(".", "_"), module
    several = len(modules.text_encoders) > 1
    for number, encoder in enumerate(modules.text_encoders, start=1):
        for name, module in encoder.named_modules():
            if name.endswith(_TEXT):
                bare = name.removeprefix("text_model.")
                yield f"lora_te{number if several else ''}_text_model_{bare}".replace(".", "_"), module


def low_rank(weight: Tensor, generator: torch.Generator, rank: int = 2) -> dict[str, Tensor]:
    """The parts of a LoRA's layer for a weight of this shape, strong enough to change a toy's picture."""
    convolution = weight.ndim == 4
    up = torch.randn(weight.shape[0], rank, *((1, 1) if convolution else ()), generator=generator)
    down = torch.randn(rank, *weight.shape[1:], generator=generator)
    # As large as the weight itself, so that a toy's picture shows it.
    share = 0.5 * weight.std() / (up.flatten(1) @ down.flatten(1)).std()
    return {"lora_up.weight": up * share, "lora_down.weight": down, "alpha": torch.tensor(float(rank))}


def write_trained_lora(
    path: Path,
    *,
    seed: int = 0,
    architecture: Architecture | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a LoRA over all trained layers of a toy checkpoint."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, module in trained_layers(architecture or Architecture()):
            weight = module.weight
            assert isinstance(weight, Tensor)
            parts = low_rank(weight, generator)
            tensors |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
    return write_tensors(path, tensors, dict(metadata or {}))


def write_hypernetwork(path: Path, width: int = 64, seed: int = 0) -> Path:
    """Write a hypernetwork for the toy's text, of A1111's usual structure."""
    generator = torch.Generator().manual_seed(seed)

    def state() -> dict[str, Tensor]:
        return {
            "linear.0.weight": torch.randn(2 * width, width, generator=generator) / 8,
            "linear.0.bias": torch.randn(2 * width, generator=generator),
            "linear.2.weight": torch.randn(width, 2 * width, generator=generator) / 8,
            "linear.2.bias": torch.randn(width, generator=generator),
        }

    path.parent.mkdir(parents=True, exist_ok=True)
    content = {width: (state(), state()), "step": 10, "name": path.stem, "layer_structure": [1, 2, 1]}
    torch.save(content | {"activation_func": "relu", "is_layer_norm": False, "activate_output": False}, path)
    return path
