"""IP-Adapters: pictures as a second text for the UNet's cross attention. Ye et al. (2023), arXiv:2308.06721.

A projection makes tokens of a CLIP's view of a picture; each cross attention has a key and a value matrix for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from diffusers.models.embeddings import ImageProjection, IPAdapterFullImageProjection, IPAdapterPlusImageProjection
from torch import Tensor, nn

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource
from modules.weights.outline import Outline
from modules.weights.tensor_file import TensorFile
from modules.weights.unet_shapes import required_shape

_PROJECTION: Final = "image_proj."
_LAYERS: Final = "ip_adapter."
_HEAD_WIDTH: Final = 64
# Files number all attentions of a UNet, and those to the text are every second one.
_FIRST, _STEP = 1, 2
_RESAMPLER_LAYER = re.compile(r"layers\.(\d+)\.(ln0|ln1|attn|ff)\.?(.*)")
# Layers of projections without a resampler: diffusers' names and the files'.
_PLAIN: Final = {"image_embeds": "proj"}
_FULL: Final = {"ff.net.0.proj": "proj.0", "ff.net.2": "proj.2", "norm": "proj.3"}
_RESAMPLER_PARTS: Final = {"ff.0": "1.0", "ff.1.net.0.proj": "1.1", "ff.1.net.2": "1.3"}


class ImageAdapter(nn.Module):
    """An IP-Adapter. `projection` makes tokens, (pictures, tokens, channels), of what the image encoder gives.

    `to_k` and `to_v` belong to the UNet's cross attentions in the order of diffusers' `attn_processors`: on the way
    down, on the way up, in the middle. `wants_states` says that the projection takes the encoder's states of all places
    instead of its one vector; `view_width` is how wide these have to be.
    """

    def __init__(
        self, projection: nn.Module, layers: list[tuple[int, int]], *, wants_states: bool, view_width: int
    ) -> None:
        """`layers` are (channels of the UNet, channels of a token) of each cross attention."""
        super().__init__()
        self.projection = projection
        self.wants_states = wants_states
        self.view_width = view_width
        self.to_k = nn.ModuleList(nn.Linear(inside, outside, bias=False) for outside, inside in layers)
        self.to_v = nn.ModuleList(nn.Linear(inside, outside, bias=False) for outside, inside in layers)

    @property
    def weight(self) -> Tensor:
        """A weight, in the type and on the device of all."""
        return self.get_parameter("to_k.0.weight")

    def keys_and_values(self, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each cross attention what tokens are to it, (pictures, tokens, channels of the UNet) twice."""
        return [(to_k(tokens), to_v(tokens)) for to_k, to_v in zip(self.to_k, self.to_v, strict=True)]


def ip_adapter_outline(file: TensorFile) -> Outline[ImageAdapter]:
    """The IP-Adapter of a file. Raises CheckpointError where its shapes make none."""
    projection = file.below(_PROJECTION)
    layers: list[tuple[int, int]] = []
    while (name := f"{_LAYERS}{_FIRST + _STEP * len(layers)}.to_k_ip.weight") in file.shapes:
        outside, inside = required_shape(file.shapes, name, 2)
        layers.append((outside, inside))
    if not layers:
        raise CheckpointError(f"{file.path.name} lacks {_LAYERS}{_FIRST}.to_k_ip.weight: the file is incomplete.")
    wants_states, view_width = view_of(file.shapes)

    def make() -> ImageAdapter:
        return ImageAdapter(_projection(projection), layers, wants_states=wants_states, view_width=view_width)

    names = _FULL if "proj.3.weight" in projection else _PLAIN
    return Outline(make, lambda name: _source(name, names))


def view_of(shapes: Shapes) -> tuple[bool, int]:
    """Whether the IP-Adapter with tensors of these shapes takes an image encoder's states, and how wide what it takes
    is. Raises CheckpointError where they make none.
    """
    plus, full = (f"{_PROJECTION}{name}" in shapes for name in ("latents", "proj.3.weight"))
    first = "proj_in.weight" if plus else "proj.0.weight" if full else "proj.weight"
    return plus or full, required_shape(shapes, _PROJECTION + first, 2)[1]


def _projection(shapes: Shapes) -> nn.Module:
    if "latents" in shapes:
        _, queries, hidden = required_shape(shapes, "latents", 3)
        depth = len({name.split(".")[1] for name in shapes if name.startswith("layers.")})
        wide = required_shape(shapes, "layers.0.1.1.weight", 2)[0]
        return IPAdapterPlusImageProjection(
            embed_dims=required_shape(shapes, "proj_in.weight", 2)[1],
            output_dims=required_shape(shapes, "proj_out.weight", 2)[0],
            hidden_dims=hidden,
            depth=depth,
            dim_head=_HEAD_WIDTH,
            heads=required_shape(shapes, "layers.0.0.to_q.weight", 2)[0] // _HEAD_WIDTH,
            num_queries=queries,
            ffn_ratio=wide / hidden,
        )
    if "proj.3.weight" in shapes:
        return IPAdapterFullImageProjection(  # type: ignore[no-untyped-call]  # unannotated in diffusers
            required_shape(shapes, "proj.0.weight", 2)[0], required_shape(shapes, "proj.3.weight", 1)[0]
        )
    (text,) = required_shape(shapes, "norm.weight", 1)
    rows, width = required_shape(shapes, "proj.weight", 2)
    return ImageProjection(image_embed_dim=width, cross_attention_dim=text, num_image_text_embeds=rows // text)


def _source(name: str, names: Mapping[str, str]) -> TensorSource:
    part, _, rest = name.partition(".")
    if part == "projection":
        source = _projection_source(rest, names)
        return TensorSource(_PROJECTION + source.name, source.part)
    index, _, kind = rest.partition(".")
    return TensorSource(f"{_LAYERS}{_FIRST + _STEP * int(index)}.{part}_ip.{kind}")


def _projection_source(name: str, names: Mapping[str, str]) -> TensorSource:
    """`layers.0.attn.to_v.weight` → the second half of `layers.0.0.to_kv.weight`; `names` has those of other layers."""
    found = _RESAMPLER_LAYER.fullmatch(name)
    if found is None:
        stem, dot, kind = name.rpartition(".")
        return TensorSource(names.get(stem, stem) + dot + kind)
    layer, part, rest = f"layers.{found[1]}", found[2], found[3]
    match part:
        case "ln0" | "ln1":
            return TensorSource(f"{layer}.0.norm{int(part[2]) + 1}.{rest}")
        case "attn":
            stem, _, kind = rest.rpartition(".")
            half = {"to_k": 0, "to_v": 1}.get(stem)
            if half is not None:
                return TensorSource(f"{layer}.0.to_kv.{kind}", (half, 2))
            return TensorSource(f"{layer}.0.{stem.removesuffix('.0')}.{kind}")
    stem, _, kind = f"ff.{rest}".rpartition(".")
    return TensorSource(f"{layer}.{_RESAMPLER_PARTS.get(stem, stem)}.{kind}")
