"""Image encoders of CLIP (ViT-L, ViT-H, ViT-bigG), by which IP-Adapters see, in transformers' and OpenCLIP's names.

Radford et al. (2021), arXiv:2103.00020.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from modules.catalogue.tensor_shapes import Shapes, read_tensor_shapes
from modules.hardware.device import module_bytes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.fill import build_module
from modules.weights.finite import checked
from modules.weights.original_names import TensorSource
from modules.weights.outline import constructed
from modules.weights.tensor_file import open_tensors
from modules.weights.unet_shapes import required_shape
from modules.weights.weight_buffer import one_thread

_PREFIX: Final = "vision_model."
_OPENCLIP: Final = "visual."
_PROJECTED: Final = "visual_projection."
# The same in those three, whose widths differ; ViT-B, which no adapter wants, has fewer.
_HEADS: Final = 16
_HEADS_BY_WIDTH: Final = {768: 12}
# OpenAI's own models, ViT-B and ViT-L, are those with the quick approximation.
_QUICK_WIDTHS: Final = frozenset({768, 1024})
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)
_TOP: Final = {
    "embeddings.class_embedding": "class_embedding", "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding", "pre_layrnorm.weight": "ln_pre.weight",
    "pre_layrnorm.bias": "ln_pre.bias", "post_layernorm.weight": "ln_post.weight",
    "post_layernorm.bias": "ln_post.bias",
}  # fmt: skip
_LAYER_PARTS: Final = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}  # fmt: skip
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_FUSED = re.compile(r"self_attn\.([qkv])_proj")


@dataclass(frozen=True, slots=True)
class ImageView:
    """A CLIP's view of pictures: its one `vector`, (pictures, width), and the `states` of all places before its last
    layer and behind it (`last_states`), (pictures, places, channels).
    """

    vector: Tensor
    states: Tensor
    last_states: Tensor


class EncoderWidths(NamedTuple):
    """How wide the vector and the states of an image encoder are."""

    vector: int
    states: int


@dataclass(frozen=True, slots=True, eq=False)
class ImageEncoder:
    """An image encoder in memory."""

    path: Path
    module: CLIPVisionModelWithProjection

    @property
    def size(self) -> int:
        """Bytes of its weights."""
        return module_bytes(self.module)

    @property
    def vector_width(self) -> int:
        return int(self.module.config.projection_dim)

    @property
    def state_width(self) -> int:
        return int(self.module.config.hidden_size)

    @property
    def side(self) -> int:
        """Of the square that it sees, in pixels."""
        side = self.module.config.image_size
        assert isinstance(side, int)
        return side

    def encode(self, pictures: Tensor) -> ImageView:
        """Look at pictures of any size, (pictures, 3, height, width) from 0 to 1: at the square in their middle."""
        weight = self.module.visual_projection.weight
        with torch.no_grad():
            pixels = normalised(pictures.float(), self.side).to(weight)
            made = self.module(pixels, output_hidden_states=True)
        return ImageView(made.image_embeds, made.hidden_states[-2], made.hidden_states[-1])


def normalised(pictures: Tensor, side: int) -> Tensor:
    """Pictures as CLIP was trained on them: the shorter side scaled to `side`, the middle cut out, colours normed."""
    height, width = pictures.shape[-2:]
    scale = side / min(height, width)
    size = max(side, round(height * scale)), max(side, round(width * scale))
    scaled = functional.interpolate(pictures, size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    mean, deviation = (scaled.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
    cut: Tensor = (scaled[..., top : top + side, left : left + side] - mean) / deviation
    return cut


def read_image_encoder(path: Path, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> ImageEncoder:
    """Read an image encoder in either naming.

    Raises:
        ModelFileError: the file is damaged, unsafe, incomplete, holds NaN or infinity, or holds something else.
    """
    with one_thread(), open_tensors(path) as opened:
        file = checked(opened)
        source_of = _naming(path, file.shapes)
        config = _config(file.shapes, source_of)

        def make() -> CLIPVisionModelWithProjection:
            return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config))

        module = build_module(
            lambda: constructed(make, {}, path.name, "CLIP"),
            file,
            source_of,
            part="image encoder",
            dtype=dtype,
            device=torch.device(device),
        )
    return ImageEncoder(path, module)


def encoder_widths(path: Path) -> EncoderWidths:
    """The widths of an image encoder by the head of its file. Raises ModelFileError as `read_image_encoder` does."""
    shapes, _ = read_tensor_shapes(path)
    source_of = _naming(path, shapes)
    projection = source_of("visual_projection.weight")
    vector = required_shape(shapes, projection.name, 2)[1 if projection.transposed else 0]
    states = required_shape(shapes, source_of(f"{_PREFIX}embeddings.patch_embedding.weight").name, 4)[0]
    return EncoderWidths(vector, states)


def encoder_bytes(path: Path, itemsize: int) -> int:
    """Bytes that an image encoder takes in memory, in numbers of `itemsize`, by the head of its file; a text encoder
    beside it is not read. Raises ModelFileError.
    """
    shapes, _ = read_tensor_shapes(path)
    read = (_PREFIX, _OPENCLIP, _PROJECTED)
    return itemsize * sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(read))


def _naming(path: Path, shapes: Shapes) -> Callable[[str], TensorSource]:
    """Where transformers' names are found in the file."""
    original = f"{_OPENCLIP}conv1.weight" in shapes
    if not original and f"{_PREFIX}embeddings.patch_embedding.weight" not in shapes:
        raise CheckpointError(f"{path.name} is no image encoder of CLIP: it has no tensors called {_PREFIX}*.")
    return openclip_vision_source if original else TensorSource


def _config(shapes: Shapes, source_of: Callable[[str], TensorSource]) -> dict[str, object]:
    def shape(name: str, rank: int) -> tuple[int, ...]:
        return required_shape(shapes, source_of(name).name, rank)

    hidden, channels, patch, _ = shape(f"{_PREFIX}embeddings.patch_embedding.weight", 4)
    places = shape(f"{_PREFIX}embeddings.position_embedding.weight", 2)[0] - 1
    projected = shape("visual_projection.weight", 2)
    layers = 0
    while source_of(f"{_PREFIX}encoder.layers.{layers}.layer_norm1.weight").name in shapes:
        layers += 1
    return {
        "hidden_size": hidden,
        "intermediate_size": shape(f"{_PREFIX}encoder.layers.0.mlp.fc1.weight", 2)[0],
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS_BY_WIDTH.get(hidden, _HEADS),
        "num_channels": channels,
        "patch_size": patch,
        "image_size": patch * round(places**0.5),
        # OpenCLIP's projection lies turned.
        "projection_dim": projected[1] if source_of("visual_projection.weight").transposed else projected[0],
        "hidden_act": "quick_gelu" if hidden in _QUICK_WIDTHS else "gelu",
    }


def openclip_vision_source(name: str) -> TensorSource:
    """`vision_model.encoder.layers.3.self_attn.k_proj.weight` → the middle third of
    `visual.transformer.resblocks.3.attn.in_proj_weight`.
    """
    if name == "visual_projection.weight":
        return TensorSource(f"{_OPENCLIP}proj", transposed=True)
    bare = name.removeprefix(_PREFIX)
    found = _LAYER.fullmatch(bare)
    if found is None:
        return TensorSource(_OPENCLIP + _TOP.get(bare, bare))
    layer, stem, kind = f"{_OPENCLIP}transformer.resblocks.{found[1]}", found[2], found[3]
    if fused := _FUSED.fullmatch(stem):
        return TensorSource(f"{layer}.attn.in_proj_{kind}", ("qkv".index(fused[1]), 3))
    return TensorSource(f"{layer}.{_LAYER_PARTS.get(stem, stem)}.{kind}")
