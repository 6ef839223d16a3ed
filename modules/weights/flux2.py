"""Flux.2's transformer: its construction, read from the shapes of its tensors, and where these lie in its files.

Not in the shapes, and the same in every published file: the axes of its positions and how they are counted, and the
widths that embed time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource

# Time, row, column and place in the text have as many channels of a head each.
_AXES: Final = 4
_ROPE_THETA: Final = 2000
_DIFFUSERS_MARK: Final = "double_stream_modulation_img.linear.weight"
_BLOCK: Final = re.compile(r"(single_)?transformer_blocks\.(\d+)\.")
# By the rest of diffusers' name: that of the original one, and which third of the tensor.
_DOUBLE: Final[Mapping[str, tuple[str, tuple[int, int]]]] = {
    "attn.to_q.weight": ("img_attn.qkv.weight", (0, 3)),
    "attn.to_k.weight": ("img_attn.qkv.weight", (1, 3)),
    "attn.to_v.weight": ("img_attn.qkv.weight", (2, 3)),
    "attn.add_q_proj.weight": ("txt_attn.qkv.weight", (0, 3)),
    "attn.add_k_proj.weight": ("txt_attn.qkv.weight", (1, 3)),
    "attn.add_v_proj.weight": ("txt_attn.qkv.weight", (2, 3)),
    "attn.to_out.0.weight": ("img_attn.proj.weight", (0, 1)),
    "attn.to_add_out.weight": ("txt_attn.proj.weight", (0, 1)),
    "attn.norm_q.weight": ("img_attn.norm.query_norm.scale", (0, 1)),
    "attn.norm_k.weight": ("img_attn.norm.key_norm.scale", (0, 1)),
    "attn.norm_added_q.weight": ("txt_attn.norm.query_norm.scale", (0, 1)),
    "attn.norm_added_k.weight": ("txt_attn.norm.key_norm.scale", (0, 1)),
    "ff.linear_in.weight": ("img_mlp.0.weight", (0, 1)),
    "ff.linear_out.weight": ("img_mlp.2.weight", (0, 1)),
    "ff_context.linear_in.weight": ("txt_mlp.0.weight", (0, 1)),
    "ff_context.linear_out.weight": ("txt_mlp.2.weight", (0, 1)),
}
_SINGLE: Final = {
    "attn.to_qkv_mlp_proj.weight": "linear1.weight",
    "attn.to_out.weight": "linear2.weight",
    "attn.norm_q.weight": "norm.query_norm.scale",
    "attn.norm_k.weight": "norm.key_norm.scale",
}
_TOP: Final = {
    "x_embedder.": "img_in.",
    "context_embedder.": "txt_in.",
    "time_guidance_embed.timestep_embedder.linear_1.": "time_in.in_layer.",
    "time_guidance_embed.timestep_embedder.linear_2.": "time_in.out_layer.",
    "double_stream_modulation_img.linear.": "double_stream_modulation_img.lin.",
    "double_stream_modulation_txt.linear.": "double_stream_modulation_txt.lin.",
    "single_stream_modulation.linear.": "single_stream_modulation.lin.",
    "norm_out.linear.": "final_layer.adaLN_modulation.1.",
    "proj_out.": "final_layer.linear.",
}


@dataclass(frozen=True, slots=True)
class Flux2Shape:
    """What the shapes of its weights say about the transformer."""

    in_channels: int
    heads: int
    head: int
    blocks: int
    single_blocks: int
    feed_forward: int
    context_dim: int
    pooled_dim: int = 0

    @property
    def out_channels(self) -> int:
        return self.in_channels

    def config(self) -> dict[str, object]:
        """Arguments for diffusers' `Flux2Transformer2DModel`."""
        return {
            "in_channels": self.in_channels,
            "num_layers": self.blocks,
            "num_single_layers": self.single_blocks,
            "attention_head_dim": self.head,
            "num_attention_heads": self.heads,
            "joint_attention_dim": self.context_dim,
            "mlp_ratio": self.feed_forward / (self.heads * self.head),
            "axes_dims_rope": (self.head // _AXES,) * _AXES,
            "rope_theta": _ROPE_THETA,
            "guidance_embeds": False,
        }


def infer_flux2(shapes: Shapes) -> Flux2Shape:
    """Read the transformer's construction from its shapes, names without what stands before them in the file.

    Raises:
        CheckpointError: a tensor is absent, or has an impossible shape.
    """
    width, channels = _shape(shapes, flux2_source("x_embedder.weight", shapes).name, 2)
    context = _shape(shapes, flux2_source("context_embedder.weight", shapes).name, 2)
    (head,) = _shape(shapes, flux2_source("transformer_blocks.0.attn.norm_q.weight", shapes).name, 1)
    feed_forward = _shape(shapes, flux2_source("transformer_blocks.0.ff.linear_out.weight", shapes).name, 2)
    if width % head or head % (2 * _AXES):
        raise CheckpointError(
            f"The transformer has {width} channels in heads of {head}, a construction that Flux.2 lacks."
        )
    return Flux2Shape(
        in_channels=channels,
        heads=width // head,
        head=head,
        blocks=_count(shapes, "transformer_blocks.{}.ff.linear_out.weight"),
        single_blocks=_count(shapes, "single_transformer_blocks.{}.attn.to_out.weight"),
        feed_forward=feed_forward[1],
        context_dim=context[1],
    )


def flux2_source(name: str, shapes: Shapes) -> TensorSource:
    """Where a parameter of diffusers' transformer is found in a file with these shapes, in either layout."""
    if _DIFFUSERS_MARK in shapes:
        return TensorSource(name)
    source = flux2_original(name)
    if source.name not in shapes and source.name.endswith(".scale"):
        # Some repack norms under the usual name of a weight.
        return TensorSource(f"{source.name.removesuffix('scale')}weight")
    return source


def flux2_original(name: str) -> TensorSource:
    """`transformer_blocks.3.attn.to_k.weight` → the middle third of `double_blocks.3.img_attn.qkv.weight`."""
    block = _BLOCK.match(name)
    if block is not None:
        rest = name[block.end() :]
        if block[1]:
            return TensorSource(f"single_blocks.{block[2]}.{_SINGLE.get(rest, rest)}")
        original, part = _DOUBLE.get(rest, (rest, (0, 1)))
        return TensorSource(f"double_blocks.{block[2]}.{original}", part)
    for beginning, original in _TOP.items():
        if name.startswith(beginning):
            # diffusers has scale before shift there.
            return TensorSource(original + name.removeprefix(beginning), swapped=beginning == "norm_out.linear.")
    return TensorSource(name)


def _count(shapes: Shapes, name: str) -> int:
    count = 0
    while flux2_source(name.format(count), shapes).name in shapes:
        count += 1
    if not count:
        missing = flux2_source(name.format(0), shapes).name
        raise CheckpointError(f"The transformer has no {missing}: the file is incomplete.")
    return count


def _shape(shapes: Shapes, name: str, rank: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The tensor {name} is missing: the file is incomplete or not a Flux.2 model.")
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(f"The tensor {name} has the shape {list(shape)}; {rank} dimensions were expected.")
    return shape
