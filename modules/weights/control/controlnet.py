"""ControlNets, in the original and in diffusers' names: Zhang et al. (2023), arXiv:2302.05543.

The network is the encoder of a UNet with a control picture added to its first layer. Some files hold differences from
the checkpoint's encoder, and Control-LoRAs hold low ranks of them: both are made whole with the checkpoint's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

from modules.catalogue.control_kinds import PREFIX
from modules.catalogue.hints import ModelHints, gather_hints
from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.control.controlnet_names import (
    controlnet_original_name,
    hint_widths,
    in_original_names,
)
from modules.weights.original_names import TensorSource
from modules.weights.outline import Outline, constructed
from modules.weights.tensor_file import TensorFile
from modules.weights.unet_shapes import UnetLevel, UnetShape, infer_levels, required_shape, transformer_depth

CONV_IN: Final = "input_blocks.0.0.weight"
# A ControlNet without attention, of SDXL, takes text of this width and ignores it.
_IGNORED_TEXT: Final = 2048


@dataclass(frozen=True, slots=True)
class ControlNetShape:
    """What the shapes of its weights say about a ControlNet. `hints` are channels of what reads the picture."""

    encoder: UnetShape
    hint_channels: int
    hints: tuple[int, ...]

    @property
    def hint_blocks(self) -> int:
        return 2 * (len(self.hints) - 1)

    def config(self, stated: ModelHints) -> dict[str, object]:
        """Arguments for diffusers' `ControlNetModel`."""
        down, middle = self.encoder.down, self.encoder.middle_depth
        whole = self.encoder.config(stated.unet_groups, stated.unet_heads)
        depths = [level.depths[0] or 1 for level in down]
        if any(len(set(level.depths)) > 1 for level in down) or len(set(self.encoder.layers_per_block)) > 1:
            raise CheckpointError("Its levels are built unlike each other, a construction that diffusers lacks.")
        depths[-1] = middle or depths[-1]
        unwanted = (
            *("out_channels", "up_block_types", "time_cond_proj_dim", "layers_per_block"),
            *("transformer_layers_per_block", "reverse_transformer_layers_per_block"),
        )
        return {key: value for key, value in whole.items() if key not in unwanted} | {
            "layers_per_block": len(down[0].depths),
            "transformer_layers_per_block": tuple(depths),
            "conditioning_channels": self.hint_channels,
            "conditioning_embedding_out_channels": self.hints,
        }


def infer_controlnet(shapes: Shapes) -> ControlNetShape:
    """Read a ControlNet's construction from the shapes of its tensors in their original names.

    Raises:
        CheckpointError: a tensor that every ControlNet has is absent or has an impossible shape.
    """
    text = [shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) == 2]
    projection = next((len(shape) for name, shape in shapes.items() if name.endswith(".proj_in.weight")), 2)
    label = shapes.get("label_emb.0.0.weight")
    down: tuple[UnetLevel, ...] = tuple(infer_levels(shapes))
    encoder = UnetShape(
        in_channels=required_shape(shapes, CONV_IN, 4)[1],
        out_channels=4,
        down=down,
        up=tuple((*level.depths, level.depths[-1]) for level in down[::-1]),
        middle_depth=transformer_depth(shapes, "middle_block.1"),
        context_dim=text[0] if text else _IGNORED_TEXT,
        linear_projections=projection == 2,
        label_dim=label[1] if label and len(label) == 2 else None,
        time_condition_dim=None,
    )
    hints = hint_widths(shapes)
    if not hints:
        raise CheckpointError("The tensor input_hint_block.2.weight is missing: the file is incomplete.")
    return ControlNetShape(encoder, required_shape(shapes, "input_hint_block.0.weight", 4)[1], hints)


def controlnet_outline(file: TensorFile) -> tuple[Outline[ControlNetModel], ControlNetShape]:
    """The ControlNet of a file in either naming. Raises CheckpointError where its shapes make none."""
    prefix, original = naming_of(file.shapes)
    shape = infer_controlnet(file.below(prefix) if original else in_original_names(file.shapes))
    config = shape.config(gather_hints(file.path, file.metadata))

    def source_of(name: str) -> TensorSource:
        if not original:
            return TensorSource(name)
        layers, attention = shape.encoder.layers_per_block, shape.encoder.attention
        return TensorSource(prefix + controlnet_original_name(name, layers, attention, shape.hint_blocks))

    return Outline(lambda: constructed(ControlNetModel, config, file.path.name, "ControlNet"), source_of), shape


def union_outline(file: TensorFile) -> tuple[Outline[ControlNetUnionModel], ControlNetShape]:
    """A ControlNet for several kinds of pictures (Xinsir's Union and ProMax). Raises CheckpointError as above."""
    shape = infer_controlnet(in_original_names(file.shapes))
    config = shape.config(gather_hints(file.path, file.metadata))
    del config["mid_block_type"]
    types, width = required_shape(file.shapes, "task_embedding", 2)
    config |= {
        "num_control_type": types,
        "num_trans_channel": width,
        "num_trans_layer": len({name.split(".")[1] for name in file.shapes if name.startswith("transformer_layes.")}),
        "num_proj_channel": required_shape(file.shapes, "spatial_ch_projs.weight", 2)[0],
        "addition_time_embed_dim": required_shape(file.shapes, "control_add_embedding.linear_1.weight", 2)[1] // types,
    }
    make = partial(constructed, ControlNetUnionModel, config, file.path.name, "ControlNet")
    return Outline(make, TensorSource), shape


def naming_of(shapes: Shapes) -> tuple[str, bool]:
    """(what the names of a ControlNet's tensors begin with, whether they are the original ones)."""
    if any(name.startswith(PREFIX) for name in shapes):
        return PREFIX, True
    return "", "input_hint_block.0.weight" in shapes
