"""What a network (LoRA and its relatives) is for, by the shapes of its tensors: surer than what its metadata claims."""

import math
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
# Flux.2 has the blocks of Flux, with names of its own in diffusers' spelling, and of other depths and widths.
_FLUX_2_NAME: Final = re.compile(
    r"to_qkv_mlp_proj|[._]ff(_context)?[._]linear_(in|out)|(double|single)_stream_modulation"
)
_FLUX_BLOCK: Final = re.compile(r"(single|double)_blocks[._](\d+)[._]|(single_)?transformer_blocks[._](\d+)[._]")
_FLUX_INPUT: Final = re.compile(r"(qkv|to_q|to_k|to_v|add_[qkv]_proj|linear1|to_qkv_mlp_proj|mlp[._]0|linear_in)$")
# What a layer gives over what it takes; in Flux.1 these are 7, 4, 1/5 and 1/4.
_FLUX_2_RATIOS: Final = (
    (re.compile(r"linear1$"), 9.0),
    (re.compile(r"(img|txt)_mlp[._]0$"), 6.0),
    (re.compile(r"linear2$"), 1 / 4),
    (re.compile(r"(img|txt)_mlp[._]2$"), 1 / 3),
)
_FLUX_WIDTH: Final = 3072
_FLUX_2: Final = {_FLUX_WIDTH: "Flux.2 klein 4B", 4096: "Flux.2 klein 9B", 6144: "Flux.2 dev"}
_KLEIN_4B_BLOCKS: Final = 5
_JOINT_ATTENTION: Final = re.compile(r"transformer_blocks[._]\d+[._]attn[._]add_[qkv]_proj$")
_QWEN_WIDTH: Final = 3072


def base_of(shapes: Mapping[str, Shape]) -> str:
    """What a network file with tensors of these shapes is for.

    Returns:
        A family's name ("SD1", "SD2", "SDXL", "SDXL refiner", "Z-Image", "Flux.2 klein 4B"), "Flux", "Flux.2 dev",
        "SD3", "Qwen-Image", or "" when its shapes don't say it.
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
            return _flux(layers) if base == "Flux" else base
    for layer, parts in layers.items():
        if _JOINT_ATTENTION.search(layer):
            return "Qwen-Image" if _input_width(parts) == _QWEN_WIDTH else "SD3"
    return ""


def _flux(layers: Mapping[str, _PartShapes]) -> str:
    """Which of the models with the blocks of Flux: by names, by widths, and by how many blocks there are."""
    widths = (_input_width(parts) for layer, parts in layers.items() if _FLUX_INPUT.search(layer))
    base = next((_FLUX_2[width] for width in widths if width in _FLUX_2), _FLUX_2[_FLUX_WIDTH])
    by_name = any(_FLUX_2_NAME.search(layer) for layer in layers)
    if base == _FLUX_2[_FLUX_WIDTH] and not by_name and not _has_layers_of_flux_2(layers):
        return "Flux"
    return base


def _has_layers_of_flux_2(layers: Mapping[str, _PartShapes]) -> bool:
    for layer, parts in layers.items():
        ratio = next((ratio for name, ratio in _FLUX_2_RATIOS if name.search(layer)), None)
        takes, gives = _input_width(parts), _output_width(parts)
        if ratio is not None and takes and gives:
            return gives / takes == ratio
    blocks = [match for layer in layers if (match := _FLUX_BLOCK.search(f"{layer}."))]
    double = [int(match[2] or match[4]) for match in blocks if match[1] == "double" or (match[4] and not match[3])]
    return bool(double) and max(double) == _KLEIN_4B_BLOCKS - 1


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
    if len(parts.get("boft_R", ())) == 4:
        return parts["boft_R"][1] * parts["boft_R"][3]
    if len(parts.get("oft_R", ())) == 2:
        blocks, triangle = parts["oft_R"]
        return blocks * (1 + math.isqrt(1 + 8 * triangle)) // 2
    if parts.get("a1"):
        return max(parts["a1"])  # (in, rank), or turned around in older files.
    first = parts.get("lokr_w1") or parts.get("lokr_w1_b")
    second = parts.get("lokr_w2") or parts.get("lokr_w2_b")
    if first and second and len(first) > 1 and len(second) > 1:
        return first[1] * second[1]
    return None


def _output_width(parts: _PartShapes) -> int | None:
    """How many channels a linear layer gives, by what is done to it; None where that doesn't say it."""
    for part in ("up", "hada_w1_a", "diff"):
        if part in parts and len(parts[part]) > 1:
            return parts[part][0]
    first = parts.get("lokr_w1") or parts.get("lokr_w1_a")
    second = parts.get("lokr_w2") or parts.get("lokr_w2_a")
    return first[0] * second[0] if first and second else None
