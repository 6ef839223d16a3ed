"""Small upscalers with random weights, made by spandrel's own architectures and saved as people find them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from modules.upscaling.architectures import registry


def _class(name: str) -> Any:
    registry()
    package = "spandrel_extra_arches" if name == "CodeFormer" else "spandrel"
    return getattr(importlib.import_module(f"{package}.architectures.{name}"), name)


MAKERS: dict[str, Callable[[], torch.nn.Module]] = {
    "ESRGAN": lambda: _class("ESRGAN")(num_filters=8, num_blocks=1, scale=4),
    "Compact": lambda: _class("Compact")(num_feat=8, num_conv=2, upscale=2),
    "SwinIR": lambda: _class("SwinIR")(
        embed_dim=12, depths=[2, 2], num_heads=[2, 2], window_size=8, upscale=2, upsampler="pixelshuffle", mlp_ratio=2
    ),
    "Swin2SR": lambda: _class("Swin2SR")(
        embed_dim=12, depths=[2, 2], num_heads=[2, 2], window_size=8, upscale=2, upsampler="pixelshuffle", mlp_ratio=2
    ),
    "DAT": lambda: _class("DAT")(
        embed_dim=32, depth=[2], num_heads=[2], split_size=[8, 8], expansion_factor=2.0, upscale=2
    ),
    "HAT": lambda: _class("HAT")(
        embed_dim=12, depths=(2,), num_heads=(2,), window_size=8, upscale=2, num_feat=64, squeeze_factor=6
    ),
    "OmniSR": lambda: _class("OmniSR")(num_feat=16, up_scale=2),
    "SPAN": lambda: _class("SPAN")(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2, norm=False),
    "SCUNet": lambda: _class("SCUNet")(config=[1, 1, 1, 1, 1, 1, 1], dim=64),
}


def weights(architecture: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict; the same seed gives the same one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return {name: tensor.contiguous() for name, tensor in MAKERS[architecture]().state_dict().items()}


def write_upscaler(path: Path, architecture: str = "Compact", wrapper: str = "", seed: int = 0) -> Path:
    """Save one at `path`; `wrapper` is the key under which training puts weights, as in "params_ema"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = weights(architecture, seed)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({wrapper: tensors} if wrapper else tensors, path)
    return path


def restorer_weights(architecture: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """A face restorer's state dict. Their loaders know one size only, the real one."""
    makers = {
        "GFPGAN": lambda: _class("GFPGAN")(),
        "CodeFormer": lambda: _class("CodeFormer")(dim_embd=64, n_layers=1),
    }
    # Without the initialisation that takes most of the time.
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in makers[architecture]().state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.02 for name, shape in shapes.items()}
