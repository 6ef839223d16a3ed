"""Narrow random control models, and files of them in each naming."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from torch import nn

from modules.weights.control.controlnet_names import controlnet_original_name
from tests.checkpoints import TINY_SD2, TINY_SDXL, Architecture, Tensors, make_modules, stated_facts, write_tensors

Naming = Literal["control_model", "bare", "diffusers"]
HINTS = (4, 8, 8, 12)
SMALL = Architecture(vocabulary=64)
SMALL_SD2 = replace(TINY_SD2, vocabulary=64)
SMALL_SDXL = replace(TINY_SDXL, vocabulary=64)
# Those of SDXL that attend less than its UNet, or not at all.
SDXL_MID = replace(SMALL_SDXL, unet_depth=1)
SDXL_SMALL = replace(SMALL_SDXL, unet_depth=1, unet_attention=(False, False))

M = TypeVar("M", bound=nn.Module)


def random_module(kind: Callable[..., M], config: Mapping[str, object], seed: int) -> M:
    """A frozen module, the layers that begin as zeros among it with values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = kind(**config)
        for parameter in module.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    module.eval().requires_grad_(False)
    return module


def _config(a: Architecture) -> dict[str, object]:
    config: dict[str, object] = {
        "block_out_channels": a.unet_channels,
        "layers_per_block": a.unet_layers,
        "down_block_types": tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in a.unet_attention),
        "cross_attention_dim": sum(a.text_widths),
        "transformer_layers_per_block": a.unet_depth,
        "attention_head_dim": a.heads,
        "use_linear_projection": a.linear_projection,
        "norm_num_groups": a.norm_num_groups,
        "conditioning_embedding_out_channels": HINTS,
    }
    if a.family.added_numbers:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": a.text_widths[-1] + 6 * 256,
        }
    return config


def make_controlnet(a: Architecture = SMALL, seed: int = 7) -> ControlNetModel:
    """A ControlNet for the UNet of an architecture."""
    middle = "UNetMidBlock2DCrossAttn" if any(a.unet_attention) else "UNetMidBlock2D"
    made: ControlNetModel = random_module(ControlNetModel, _config(a) | {"mid_block_type": middle}, seed)
    return made


def make_union(types: int = 6, a: Architecture = SMALL_SDXL, seed: int = 8) -> ControlNetUnionModel:
    """A ControlNet for several types of pictures."""
    more = {"num_control_type": types, "num_trans_channel": 32, "num_proj_channel": 32}
    made: ControlNetUnionModel = random_module(ControlNetUnionModel, _config(a) | more, seed)
    return made


def make_adapter(kind: str = "full_adapter", colours: int = 3, seed: int = 9) -> T2IAdapter:
    """A T2I-Adapter for a UNet of 32 and 64 channels."""
    side = 16 if kind == "full_adapter_xl" else 8
    channels = {"full_adapter": [32, 64, 64, 64], "full_adapter_xl": [32, 32, 64, 64], "light_adapter": [32, 64, 64]}
    config = {"channels": channels[kind], "downscale_factor": side, "in_channels": colours}
    made: T2IAdapter = random_module(T2IAdapter, config | {"num_res_blocks": 2, "adapter_type": kind}, seed)
    return made


def original_controlnet_tensors(module: nn.Module, a: Architecture = SMALL) -> Tensors:
    """A ControlNet's weights by their original names."""
    layers = (a.unet_layers,) * len(a.unet_channels)
    return {
        controlnet_original_name(name, layers, a.unet_attention, 2 * (len(HINTS) - 1)): value
        for name, value in module.state_dict().items()
    }


def controlnet_tensors(module: nn.Module, a: Architecture = SMALL, naming: Naming = "bare") -> Tensors:
    """A ControlNet's weights in a naming."""
    if naming == "diffusers":
        return dict(module.state_dict())
    prefix = "control_model." if naming == "control_model" else ""
    return {prefix + name: value for name, value in original_controlnet_tensors(module, a).items()}


def write_control(path: Path, tensors: Tensors, a: Architecture = SMALL) -> Path:
    """Write a file of a control model, with what shapes of a narrow one don't say."""
    return write_tensors(path, {name: value.clone().contiguous() for name, value in tensors.items()}, stated_facts(a))


def checkpoint_unet(a: Architecture, seed: int = 0) -> nn.Module:
    """The UNet in the checkpoint that `write_tiny_checkpoint` writes of an architecture."""
    return make_modules(a, seed).unet


def light_original_names(module: T2IAdapter) -> Tensors:
    """A light adapter's weights as TencentARC names them."""
    return {
        name.removeprefix("adapter.").replace(".resnets.", ".body."): value
        for name, value in module.state_dict().items()
    }


def full_original_names(module: T2IAdapter) -> Tensors:
    """A full adapter's weights as TencentARC names them: all blocks in one row."""
    named: Tensors = {}
    for name, value in module.state_dict().items():
        parts = name.split(".")
        match parts:
            case ["adapter", "body", level, "resnets", index, *rest]:
                named[".".join(["body", str(2 * int(level) + int(index)), *rest])] = value
            case ["adapter", "body", level, *rest]:
                named[".".join(["body", str(2 * int(level)), *rest])] = value
            case _:
                named[name.removeprefix("adapter.")] = value
    return named
