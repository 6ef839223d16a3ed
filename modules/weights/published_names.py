"""From names in published files to those of transformers: tables of patterns, and DPT's neck, which three share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from torch import Tensor

Table = Sequence[tuple[re.Pattern[str], str]]

_LAYER: Final = re.compile(r"^scratch\.layer(\d)_rn\.")
_FUSION: Final = re.compile(r"^scratch\.refinenet(\d)\.(?:out_conv|resConfUnit(\d)\.conv(\d))\.")
_STAGES: Final = 4


def table(*pairs: tuple[str, str]) -> Table:
    """Patterns and what stands for them, the first that fits counting."""
    return tuple((re.compile(pattern), place) for pattern, place in pairs)


def placed(name: str, names: Table) -> str:
    """What `names` makes of a name; one that none of them fits stays."""
    for pattern, place in names:
        renamed, count = pattern.subn(place, name)
        if count:
            return renamed
    return name


def neck_place(name: str) -> str | None:
    """A tensor of DPT's neck (Ranftl et al. 2021) under transformers' name; None for any other."""
    layer = _LAYER.match(name)
    if layer:
        return f"neck.convs.{int(layer[1]) - 1}.{name[layer.end() :]}"
    fusion = _FUSION.match(name)
    if fusion:
        part = "projection" if fusion[2] is None else f"residual_layer{fusion[2]}.convolution{fusion[3]}"
        return f"neck.fusion_stage.layers.{_STAGES - int(fusion[1])}.{part}.{name[fusion.end() :]}"
    return None


def parted(tensors: Mapping[str, Tensor], joined: str, parts: Sequence[str]) -> dict[str, Tensor]:
    """`tensors` with each that has `joined` in its name cut along its first side into those of `parts`."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if joined in name:
            for part, piece in zip(parts, tensor.chunk(len(parts)), strict=True):
                found[name.replace(joined, part)] = piece
        else:
            found[name] = tensor
    return found
