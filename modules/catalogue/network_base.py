"""What a network (LoRA and its relatives) is for, by the shapes of its tensors: surer than what its metadata claims."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from modules.catalogue.network_names import split_name

Shape = tuple[int, ...]
_PartShapes = Mapping[str, Shape]
# By the width of the text that cross attention reads, and by that of the only text encoder.
_BY_CONTEXT: Final = {768: "SD1", 1024: "SD2", 2048: "SDXL", 1280: "SDXL refiner"}
_BY_TEXT_WIDTH: Final = {768: "SD1", 1024: "SD2"}
_CROSS_ATTENTION: Final = re.compile(r"attn2[._](processor[._])?to_[kv]$")
# Layers whose input is as wide as their text encoder.
_TEXT_ATTENTION: Final = re.compile(r"self_attn[._](q_proj|k_proj|v_proj|to_q|to_k|to_v)$")
_SECOND_ENCODER: Final = ("lora_te2_", "text_encoder_2.")
# In the order of asking: Flux has the double blocks of Qwen-Image and Stable Diffusion 3, and single ones beside them.
_BY_NAME: Final = (
    ("Flux", re.compile(r"double_blocks[._]|single_blocks[._]|single_transformer_blocks[._]")),
    ("Qwen-Image", re.compile(r"transformer_blocks[._]\d+[._](img_mlp|txt_mlp|img_mod|txt_mod)[._]")),
    ("SD3", re.compile(r"joint_blocks[._]|transformer_blocks[._]\d+[._]ff_context[._]")),
    ("Z-Image", re.compile(r"(noise|context)_refiner[._]|(^|[._])layers[._]\d+[._]attention[._]")),
)
_JOINT_ATTENTION: Final = re.compile(r"transformer_blocks[._]\d+[._]attn[._]add_[qkv]_proj$")
_QWEN_WIDTH: Final = 3072


def base_of(shapes: Mapping[str, Shape]) -> str:
    """What a network file with tensors of these shapes is for.

    Returns:
        A family's name ("SD1", "SD2", "SDXL", "SDXL refiner"), "Flux", "SD3", "Qwen-Image", "Z-Image", or "" when its
        shapes don't say it.
    """
    layers: dict[str, dict[str, Shape]] = defaultdict(dict)
    for name, shape in shapes.items():
        layer, part = split_name(name)
        layers[layer][part] = shape
    for layer, parts in layers.items():
        if _CROSS_ATTENTION.search(layer):
            width = _input_width(parts)
            if width in _BY_CONTEXT:
                return _BY_CONTEXT[width]
    return _by_name(layers) or _by_text_encoder(layers)


def _by_name(layers: Mapping[str, _PartShapes]) -> str:
    for base, pattern in _BY_NAME:
        if any(pattern.search(f"{layer}.") for layer in layers):
            return base
    for layer, parts in layers.items():
        if _JOINT_ATTENTION.search(layer):
            return "Qwen-Image" if _input_width(parts) == _QWEN_WIDTH else "SD3"
    return ""


def _by_text_encoder(layers: Mapping[str, _PartShapes]) -> str:
    """SDXL is the only family with two text encoders; a file may change the first of them alone."""
    if any(layer.startswith((*_SECOND_ENCODER, "lora_te1_")) for layer in layers):
        return "SDXL"
    # diffusers calls the first one of SDXL as it calls the only one of Stable Diffusion 1.
    widths = (_input_width(parts) for layer, parts in layers.items() if _TEXT_ATTENTION.search(layer))
    base = next((_BY_TEXT_WIDTH[width] for width in widths if width in _BY_TEXT_WIDTH), "")
    return "" if base == "SD1" and any(layer.startswith("text_encoder.") for layer in layers) else base


def _input_width(parts: _PartShapes) -> int | None:
    """How many channels a linear layer takes, by what is done to it; None where that doesn't say it."""
    for part in ("down", "hada_w1_b", "diff"):
        if part in parts and len(parts[part]) > 1:
            return parts[part][1]
    if parts.get("a1"):
        return max(parts["a1"])  # (in, rank), or turned around in older files.
    first = parts.get("lokr_w1") or parts.get("lokr_w1_b")
    second = parts.get("lokr_w2") or parts.get("lokr_w2_b")
    if first and second and len(first) > 1 and len(second) > 1:
        return first[1] * second[1]
    return None
