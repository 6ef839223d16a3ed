"""The construction of an original-layout VAE (`encoder.*`, `decoder.*`), read from the shapes of its tensors."""

import re
from dataclasses import dataclass

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError


@dataclass(frozen=True, slots=True)
class VaeShape:
    """Channels of each level (finest first), residual blocks per level, and what stands at the ends.

    `decoder_channels` are those of the decoder's levels, which one VAE alone has others on.
    """

    channels: tuple[int, ...]
    decoder_channels: tuple[int, ...]
    layers_per_block: int
    image_channels: int
    latent_channels: int
    quant_conv: bool
    post_quant_conv: bool
    mid_attention: bool

    def config(self, groups: int | None = None, scaling_factor: float = 0.18215) -> dict[str, object]:
        """Arguments for diffusers' `AutoencoderKL`."""
        levels = len(self.channels)
        return {
            "in_channels": self.image_channels,
            "out_channels": self.image_channels,
            "latent_channels": self.latent_channels,
            "block_out_channels": self.channels,
            "layers_per_block": self.layers_per_block,
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
            "norm_num_groups": groups or 32,
            "scaling_factor": scaling_factor,
            "use_quant_conv": self.quant_conv,
            "use_post_quant_conv": self.post_quant_conv,
            "mid_block_add_attention": self.mid_attention,
        }

    def patched_config(self, patch: int, groups: int | None = None) -> dict[str, object]:
        """Arguments for diffusers' `AutoencoderKLFlux2`."""
        config = self.config(groups) | {
            "patch_size": (patch, patch),
            "decoder_block_out_channels": self.decoder_channels,
        }
        del config["scaling_factor"]
        return config


def infer_vae(shapes: Shapes) -> VaeShape:
    """Read a VAE's construction from the shapes of its tensors, names without `first_stage_model.`.

    Raises:
        CheckpointError: a tensor that every VAE has is absent or has an impossible shape.
    """
    found = [re.match(r"encoder\.down\.(\d{1,2})\.block\.(\d{1,2})\.conv1\.weight$", name) for name in shapes]
    places = [(int(match[1]), int(match[2])) for match in found if match]
    if not places:
        raise CheckpointError(
            "The VAE has no encoder.down.0.block.0.conv1.weight: it is incomplete or of another kind."
        )
    levels = 1 + max(level for level, _ in places)
    layers = 1 + max(block for _, block in places)
    decoder = (shapes.get(f"decoder.up.{level}.block.0.conv1.weight", ()) for level in range(levels))
    return VaeShape(
        channels=tuple(_shape(shapes, f"encoder.down.{level}.block.0.conv1.weight")[0] for level in range(levels)),
        decoder_channels=tuple(shape[0] for shape in decoder if shape),
        layers_per_block=layers,
        image_channels=_shape(shapes, "encoder.conv_in.weight")[1],
        latent_channels=_shape(shapes, "decoder.conv_in.weight")[1],
        quant_conv=not shapes.keys().isdisjoint(("quant_conv.weight", "encoder.quant_conv.weight")),
        post_quant_conv=not shapes.keys().isdisjoint(("post_quant_conv.weight", "decoder.post_quant_conv.weight")),
        mid_attention="decoder.mid.attn_1.q.weight" in shapes,
    )


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The tensor {name} is missing: the VAE is incomplete or of another kind.")
    if len(shape) != 4 or 0 in shape:
        raise CheckpointError(f"The tensor {name} has the shape {list(shape)}; four dimensions were expected.")
    return shape
