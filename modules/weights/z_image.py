"""Z-Image's transformer: its construction, read from the shapes of its tensors, and where these lie in its files.

Not in the shapes, and the same in every published file: the axes of its positions and how they are counted, the sizes
of patches, and the widths that embed time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource

_PATCH: Final = 2
# Channels of a head by axis of its position (text, row, column): 32, 48 and 48 of 128.
_AXES: Final = (2, 3, 3)
_AXES_LENGTHS: Final = (1536, 512, 512)
_DIFFUSERS_MARK: Final = "all_x_embedder.2-1.weight"
# By the end of diffusers' name: the end of the original one, and which third of the tensor.
_ATTENTION: Final[Mapping[str, tuple[str, tuple[int, int]]]] = {
    ".attention.to_q.weight": (".attention.qkv.weight", (0, 3)),
    ".attention.to_k.weight": (".attention.qkv.weight", (1, 3)),
    ".attention.to_v.weight": (".attention.qkv.weight", (2, 3)),
    ".attention.to_out.0.weight": (".attention.out.weight", (0, 1)),
    ".attention.norm_q.weight": (".attention.q_norm.weight", (0, 1)),
    ".attention.norm_k.weight": (".attention.k_norm.weight", (0, 1)),
}
_LAYER: Final = re.compile(r"(?:layers|noise_refiner|context_refiner)\.\d+")


@dataclass(frozen=True, slots=True)
class ZImageShape:
    """What the shapes of its weights say about the transformer."""

    in_channels: int
    width: int
    layers: int
    refiners: int
    heads: int
    context_dim: int
    pooled_dim: int = 0

    @property
    def out_channels(self) -> int:
        return self.in_channels

    def config(self) -> dict[str, object]:
        """Arguments for diffusers' `ZImageTransformer2DModel`."""
        share = self.width // self.heads // sum(_AXES)
        return {
            "in_channels": self.in_channels,
            "dim": self.width,
            "n_layers": self.layers,
            "n_refiner_layers": self.refiners,
            "n_heads": self.heads,
            "n_kv_heads": self.heads,
            "cap_feat_dim": self.context_dim,
            "axes_dims": [axis * share for axis in _AXES],
            "axes_lens": list(_AXES_LENGTHS),
        }


def infer_z_image(shapes: Shapes) -> ZImageShape:
    """Read the transformer's construction from its shapes, names without what stands before them in the file.

    Raises:
        CheckpointError: a tensor is absent, or has an impossible shape.
    """
    entry = _shape(shapes, z_image_source(_DIFFUSERS_MARK, shapes).name, 2)
    context = _shape(shapes, "cap_embedder.1.weight", 2)
    (head,) = _shape(shapes, z_image_source("layers.0.attention.norm_q.weight", shapes).name, 1)
    width, patch = entry[0], _PATCH**2
    if entry[1] % patch or width % head or head % (2 * sum(_AXES)):
        raise CheckpointError(
            f"The transformer has {width} channels in heads of {head}, and takes {entry[1]} numbers a patch, a "
            "construction that Z-Image lacks."
        )
    return ZImageShape(
        in_channels=entry[1] // patch,
        width=width,
        layers=_count(shapes, "layers"),
        refiners=_count(shapes, "noise_refiner"),
        heads=width // head,
        context_dim=context[1],
    )


def z_image_source(name: str, shapes: Shapes) -> TensorSource:
    """Where a parameter of diffusers' transformer is found in a file with these shapes, in either layout."""
    if _DIFFUSERS_MARK in shapes:
        return TensorSource(name)
    return z_image_original(name)


def z_image_original(name: str) -> TensorSource:
    """`layers.3.attention.to_k.weight` → the middle third of `layers.3.attention.qkv.weight`."""
    layer = _LAYER.match(name)
    rest = name if layer is None else name[layer.end() :]
    if layer is not None and rest in _ATTENTION:
        original, part = _ATTENTION[rest]
        return TensorSource(layer[0] + original, part)
    return TensorSource(
        name.replace("all_x_embedder.2-1.", "x_embedder.").replace("all_final_layer.2-1.", "final_layer.")
    )


def _count(shapes: Shapes, blocks: str) -> int:
    count = 0
    while f"{blocks}.{count}.attention_norm1.weight" in shapes:
        count += 1
    if not count:
        raise CheckpointError(f"The transformer has no {blocks}.0.attention_norm1.weight: the file is incomplete.")
    return count


def _shape(shapes: Shapes, name: str, rank: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The tensor {name} is missing: the file is incomplete or not a Z-Image model.")
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(f"The tensor {name} has the shape {list(shape)}; {rank} dimensions were expected.")
    return shape
