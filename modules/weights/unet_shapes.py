"""The construction of an original-layout UNet, read from the shapes of its tensors.

Every width and depth is read, not looked up, so that distilled, widened and toy models load like the published ones.
Three things can't be read from shapes and are arguments of `config`: groups of the group norms, attention heads, and
(elsewhere) the prediction type. Without a statement the field's rules apply: 32 groups; 8 heads where the projections
are convolutions (Stable Diffusion 1), 64 channels a head where they are linear (2, XL).
"""

import re
from dataclasses import dataclass

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError


@dataclass(frozen=True, slots=True)
class UnetLevel:
    """One resolution: channels, and the transformer depth after each residual block (0: no attention)."""

    channels: int
    depths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnetShape:
    """What the shapes of its weights say about a UNet; levels run from the finest resolution to the coarsest."""

    in_channels: int
    out_channels: int
    down: tuple[UnetLevel, ...]
    up: tuple[tuple[int, ...], ...]
    """Transformer depths on the way up, coarsest level first."""
    middle_depth: int | None
    """None: there is no middle block (KOALA)."""
    context_dim: int
    linear_projections: bool
    label_dim: int | None
    time_condition_dim: int | None

    @property
    def pooled_dim(self) -> int:
        """A vector of the whole text comes with numbers: `label_dim`."""
        return 0

    @property
    def layers_per_block(self) -> tuple[int, ...]:
        return tuple(len(level.depths) for level in self.down)

    @property
    def attention(self) -> tuple[bool, ...]:
        return tuple(any(level.depths) for level in self.down)

    def config(self, groups: int | None = None, heads: tuple[int, ...] | None = None) -> dict[str, object]:
        """Arguments for diffusers' `UNet2DConditionModel`. What is called attention_head_dim there counts heads."""
        channels = tuple(level.channels for level in self.down)
        if heads is None:
            heads = tuple(width // 64 for width in channels) if self.linear_projections else (8,)
        config: dict[str, object] = {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "block_out_channels": channels,
            "layers_per_block": self.layers_per_block,
            "down_block_types": tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in self.attention),
            "mid_block_type": self._middle(),
            "up_block_types": tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in self.attention[::-1]),
            "cross_attention_dim": self.context_dim,
            "attention_head_dim": heads * len(channels) if len(heads) == 1 else heads,
            "use_linear_projection": self.linear_projections,
            "norm_num_groups": groups or 32,
            "time_cond_proj_dim": self.time_condition_dim,
            **self._depth_config(),
        }
        if self.label_dim is not None:
            config |= {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": self.label_dim,
            }
        return config

    def _middle(self) -> str | None:
        if self.middle_depth is None:
            return None
        return "UNetMidBlock2DCrossAttn" if self.middle_depth else "UNetMidBlock2D"

    def _depth_config(self) -> dict[str, object]:
        """diffusers takes the middle block's depth from the last level, whose own depth counts only if it attends."""
        down = [level.depths for level in self.down]
        last = self.middle_depth or down[-1][0] or 1
        if self.middle_depth and any(down[-1]) and set(down[-1]) != {last}:
            raise CheckpointError(
                "The UNet's middle block is deeper than its coarsest level, a construction that diffusers lacks."
            )
        if not any(down[-1]):
            down[-1] = (last,) * len(down[-1])
        uniform = all(len({*falling, *rising}) == 1 for falling, rising in zip(down[:-1], self.up[:0:-1], strict=True))
        if uniform and len({0, last, *self.up[0]}) <= 2:
            return {"transformer_layers_per_block": tuple(depths[0] or 1 for depths in down)}
        return {
            "transformer_layers_per_block": [list(depths) for depths in down],
            "reverse_transformer_layers_per_block": [list(depths) for depths in self.up],
        }


def infer_unet(shapes: Shapes) -> UnetShape:
    """Read a UNet's construction from the shapes of its tensors, names without `model.diffusion_model.`.

    Raises:
        CheckpointError: a tensor that every UNet has is absent or has an impossible shape.
    """
    down = infer_levels(shapes)
    rising: list[tuple[int, ...]] = []
    index = 0
    for level in reversed(down):
        count = len(level.depths) + 1
        rising.append(tuple(transformer_depth(shapes, f"output_blocks.{index + step}.1") for step in range(count)))
        index += count
    context = [shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) == 2]
    if not context:
        raise CheckpointError("The UNet has no cross attention (attn2.to_k.weight): it can't follow a text prompt.")
    projection = next((len(shape) for name, shape in shapes.items() if name.endswith(".proj_in.weight")), 4)
    label, condition = shapes.get("label_emb.0.0.weight"), shapes.get("time_embed.cond_proj.weight")
    return UnetShape(
        in_channels=required_shape(shapes, "input_blocks.0.0.weight", 4)[1],
        out_channels=required_shape(shapes, "out.2.weight", 4)[0],
        down=tuple(down),
        up=tuple(rising),
        middle_depth=transformer_depth(shapes, "middle_block.1")
        if "middle_block.0.in_layers.2.weight" in shapes
        else None,
        context_dim=context[0],
        linear_projections=projection == 2,
        label_dim=label[1] if label and len(label) == 2 else None,
        time_condition_dim=condition[1] if condition and len(condition) == 2 else None,
    )


def infer_levels(shapes: Shapes) -> list[UnetLevel]:
    """The levels on the way down. Raises CheckpointError where one has no residual blocks."""
    levels: list[UnetLevel] = []
    channels, depths = 0, list[int]()
    blocks = 1 + max(
        (int(found[1]) for name in shapes if (found := re.match(r"input_blocks\.(\d{1,3})\.", name))), default=0
    )
    for index in range(1, blocks):
        if f"input_blocks.{index}.0.op.weight" in shapes:
            levels.append(UnetLevel(channels, tuple(depths)))
            depths = []
            continue
        channels = required_shape(shapes, f"input_blocks.{index}.0.out_layers.3.weight", 4)[0]
        depths.append(transformer_depth(shapes, f"input_blocks.{index}.1"))
    levels.append(UnetLevel(channels, tuple(depths)))
    if not all(level.depths for level in levels):
        raise CheckpointError("The UNet has a level without residual blocks; the file is incomplete.")
    return levels


def transformer_depth(shapes: Shapes, block: str) -> int:
    """How many transformer layers the attention at `block` has; 0 where there is none."""
    depth = 0
    while f"{block}.transformer_blocks.{depth}.attn1.to_q.weight" in shapes:
        depth += 1
    return depth


def required_shape(shapes: Shapes, name: str, rank: int) -> tuple[int, ...]:
    """The shape of a tensor that must be there. Raises CheckpointError where it is not, or has another rank."""
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The tensor {name} is missing: the file is incomplete or not an original-layout model.")
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(f"The tensor {name} has the shape {list(shape)}; {rank} dimensions were expected.")
    return shape
