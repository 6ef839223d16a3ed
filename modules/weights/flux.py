"""Flux.1's transformer: its construction, read from the shapes of its tensors, and where these lie in its files.

Not in the shapes, and the same in every published file: the axes of its positions, and the widths that embed time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modules.catalogue.tensor_shapes import Shapes
from modules.hardware.model_configs import FLUX_PATCH
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource

# Channels of a head by axis of its position (nothing, row, column): 16, 56 and 56 of 128.
_AXES: Final = (2, 7, 7)
_DIFFUSERS_MARK: Final = "x_embedder.weight"
_BLOCK: Final = re.compile(r"(single_)?transformer_blocks\.(\d+)\.")
# By diffusers' name of a layer: the original one.
_DOUBLE: Final[Mapping[str, str]] = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
_SINGLE: Final[Mapping[str, str]] = {"norm.linear": "modulation.lin", "proj_out": "linear2"}
_NORMS: Final[Mapping[str, str]] = {
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
}
_SINGLE_NORMS: Final[Mapping[str, str]] = {"attn.norm_q": "norm.query_norm", "attn.norm_k": "norm.key_norm"}
# Which rows these are: (index, count) of equal parts, and how many in a row.
_JOINED: Final[Mapping[str, tuple[str, tuple[int, int]]]] = {
    "attn.to_q": ("img_attn.qkv", (0, 3)),
    "attn.to_k": ("img_attn.qkv", (1, 3)),
    "attn.to_v": ("img_attn.qkv", (2, 3)),
    "attn.add_q_proj": ("txt_attn.qkv", (0, 3)),
    "attn.add_k_proj": ("txt_attn.qkv", (1, 3)),
    "attn.add_v_proj": ("txt_attn.qkv", (2, 3)),
}
# The feed-forward of a single block is four times as wide as query, key and value, and lies behind them.
_SINGLE_JOINED: Final[Mapping[str, tuple[int, int]]] = {
    "attn.to_q": (0, 1), "attn.to_k": (1, 1), "attn.to_v": (2, 1), "proj_mlp": (3, 4),
}  # fmt: skip
_SINGLE_PARTS: Final = 7
_TOP: Final = {
    "x_embedder.": "img_in.",
    "context_embedder.": "txt_in.",
    "time_text_embed.timestep_embedder.linear_1.": "time_in.in_layer.",
    "time_text_embed.timestep_embedder.linear_2.": "time_in.out_layer.",
    "time_text_embed.text_embedder.linear_1.": "vector_in.in_layer.",
    "time_text_embed.text_embedder.linear_2.": "vector_in.out_layer.",
    "time_text_embed.guidance_embedder.linear_1.": "guidance_in.in_layer.",
    "time_text_embed.guidance_embedder.linear_2.": "guidance_in.out_layer.",
    "norm_out.linear.": "final_layer.adaLN_modulation.1.",
    "proj_out.": "final_layer.linear.",
}


@dataclass(frozen=True, slots=True)
class FluxShape:
    """What the shapes of its weights say about the transformer; `in_channels` are those of the latents."""

    in_channels: int
    heads: int
    head: int
    blocks: int
    single_blocks: int
    context_dim: int
    pooled_dim: int
    guided: bool

    @property
    def out_channels(self) -> int:
        return self.in_channels

    def config(self) -> dict[str, object]:
        """Arguments for diffusers' `FluxTransformer2DModel`."""
        share = self.head // sum(_AXES)
        return {
            "in_channels": self.in_channels * FLUX_PATCH**2,
            "num_layers": self.blocks,
            "num_single_layers": self.single_blocks,
            "attention_head_dim": self.head,
            "num_attention_heads": self.heads,
            "joint_attention_dim": self.context_dim,
            "pooled_projection_dim": self.pooled_dim,
            "guidance_embeds": self.guided,
            "axes_dims_rope": tuple(axis * share for axis in _AXES),
        }


def infer_flux(shapes: Shapes) -> FluxShape:
    """Read the transformer's construction from its shapes, names without what stands before them in the file.

    Raises:
        CheckpointError: a tensor is absent, or has an impossible shape.
    """
    width, taken = _shape(shapes, "x_embedder.weight", 2)
    (head,) = _shape(shapes, "transformer_blocks.0.attn.norm_q.weight", 1)
    if width % head or head % (2 * sum(_AXES)) or taken % FLUX_PATCH**2:
        raise CheckpointError(
            f"The transformer has {width} channels in heads of {head}, and takes {taken} numbers a patch, a "
            "construction that Flux.1 lacks."
        )
    return FluxShape(
        in_channels=taken // FLUX_PATCH**2,
        heads=width // head,
        head=head,
        blocks=_count(shapes, "transformer_blocks.{}.ff.net.2.weight"),
        single_blocks=_count(shapes, "single_transformer_blocks.{}.proj_out.weight"),
        context_dim=_shape(shapes, "context_embedder.weight", 2)[1],
        pooled_dim=_shape(shapes, "time_text_embed.text_embedder.linear_1.weight", 2)[1],
        guided=flux_source("time_text_embed.guidance_embedder.linear_1.weight", shapes).name in shapes,
    )


def flux_source(name: str, shapes: Shapes) -> TensorSource:
    """Where a parameter of diffusers' transformer is found in a file with these shapes, in either layout."""
    if _DIFFUSERS_MARK in shapes:
        return TensorSource(name)
    source = flux_original(name)
    if source.name not in shapes and source.name.endswith(".scale"):
        # Some repack norms under the usual name of a weight.
        return TensorSource(f"{source.name.removesuffix('scale')}weight")
    return source


def flux_original(name: str) -> TensorSource:
    """`transformer_blocks.3.attn.to_k.weight` → the middle third of `double_blocks.3.img_attn.qkv.weight`."""
    block = _BLOCK.match(name)
    if block is None:
        for beginning, original in _TOP.items():
            if name.startswith(beginning):
                # diffusers has scale before shift there.
                return TensorSource(original + name.removeprefix(beginning), swapped=beginning == "norm_out.linear.")
        return TensorSource(name)
    single = block[1] is not None
    layer, _, kind = name[block.end() :].rpartition(".")
    stem = f"{'single' if single else 'double'}_blocks.{block[2]}"
    if (norm := (_SINGLE_NORMS if single else _NORMS).get(layer)) is not None:
        return TensorSource(f"{stem}.{norm}.scale")
    if single and layer in _SINGLE_JOINED:
        index, span = _SINGLE_JOINED[layer]
        return TensorSource(f"{stem}.linear1.{kind}", (index, _SINGLE_PARTS), span=span)
    if not single and layer in _JOINED:
        original, part = _JOINED[layer]
        return TensorSource(f"{stem}.{original}.{kind}", part)
    return TensorSource(f"{stem}.{(_SINGLE if single else _DOUBLE).get(layer, layer)}.{kind}")


def x_flux_name(name: str) -> TensorSource | None:
    """What x-flux's LoRAs call a layer of attention, which they count 1 for the picture's and 2 for the text's; None
    for what they don't change. In single blocks what they change behind attention is no layer here.
    """
    source = flux_original(name)
    parts = source.name.removesuffix(".weight").split(".")
    if parts[-1] == "linear1" and source.span == 1:
        return TensorSource(f"single_blocks.{parts[1]}.processor.qkv", (source.part[0], 3))
    if parts[-1] not in ("qkv", "proj"):
        return None
    number = 1 if parts[2] == "img_attn" else 2
    return TensorSource(f"double_blocks.{parts[1]}.processor.{parts[3]}_lora{number}", source.part)


def _count(shapes: Shapes, name: str) -> int:
    count = 0
    while flux_source(name.format(count), shapes).name in shapes:
        count += 1
    if not count:
        missing = flux_source(name.format(0), shapes).name
        raise CheckpointError(f"The transformer has no {missing}: the file is incomplete.")
    return count


def _shape(shapes: Shapes, parameter: str, rank: int) -> tuple[int, ...]:
    name = flux_source(parameter, shapes).name
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The tensor {name} is missing: the file is incomplete or not a Flux.1 model.")
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(f"The tensor {name} has the shape {list(shape)}; {rank} dimensions were expected.")
    return shape
