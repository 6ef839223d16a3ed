"""Names of a ControlNet's parameters: from diffusers' module to the original layout (lllyasviel/ControlNet)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.original_names import unet_original_name

_HINT = re.compile(r"controlnet_cond_embedding\.(conv_in|conv_out|blocks\.(\d+))\.(\w+)")
_ZERO = re.compile(r"controlnet_down_blocks\.(\d+)\.(\w+)")
_MIDDLE: Final = "controlnet_mid_block."
_LEVEL_PART = re.compile(r"down_blocks\.(\d{1,2})\.(resnets|attentions)\.(\d{1,2})\.")


def controlnet_original_name(name: str, layers: Sequence[int], attention: Sequence[bool], hint_blocks: int) -> str:
    """`controlnet_down_blocks.3.weight` → `zero_convs.3.0.weight`; the rest as in a UNet.

    Args:
        layers: residual blocks of each level.
        attention: whether each level has attention.
        hint_blocks: convolutions between the first and the last one that read the control picture.
    """
    if hint := _HINT.fullmatch(name):
        # Every second layer there is an activation.
        index = 0 if hint[1] == "conv_in" else 1 + (hint_blocks if hint[2] is None else int(hint[2]))
        return f"input_hint_block.{2 * index}.{hint[3]}"
    if zero := _ZERO.fullmatch(name):
        return f"zero_convs.{zero[1]}.0.{zero[2]}"
    if name.startswith(_MIDDLE):
        return f"middle_block_out.0.{name.removeprefix(_MIDDLE)}"
    return unet_original_name(name, layers, attention)


def level_facts(names: Sequence[str]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Residual blocks of each level, and whether it has attention, by diffusers' names of a ControlNet's tensors."""
    layers: dict[int, int] = {}
    attending = set[int]()
    for name in names:
        if found := _LEVEL_PART.match(name):
            level = int(found[1])
            layers[level] = max(layers.get(level, 0), int(found[3]) + 1)
            if found[2] == "attentions":
                attending.add(level)
    levels = range(len(layers))
    return tuple(layers.get(level, 0) for level in levels), tuple(level in attending for level in levels)


def hint_widths(shapes: Shapes) -> tuple[int, ...]:
    """Channels of the layers that read the control picture, from its original names: those of each size."""
    indexes = sorted(
        int(found[1]) for name in shapes if (found := re.fullmatch(r"input_hint_block\.(\d{1,3})\.weight", name))
    )
    # Two for each size; the last one's channels are the UNet's.
    return tuple(shapes[f"input_hint_block.{index}.weight"][0] for index in indexes[:-1:2])


def in_original_names(shapes: Shapes) -> Mapping[str, tuple[int, ...]]:
    """The shapes of a ControlNet in diffusers' names by their original ones; others stay as they are."""
    layers, attention = level_facts(list(shapes))
    hints = sum(name.startswith("controlnet_cond_embedding.blocks.") and name.endswith("weight") for name in shapes)
    return {controlnet_original_name(name, layers, attention, hints): shape for name, shape in shapes.items()}
