"""Reading a network file: LoRA and its relatives, in every trainer's naming."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.catalogue.network_base import base_of
from modules.catalogue.network_names import split_name
from modules.weights.checkpoint_errors import CheckpointError, NetworkError
from modules.weights.embeddings import Embedding, checked_vectors
from modules.weights.finite import check_finite
from modules.weights.networks.adapter_config import AdapterConfig, read_adapter_configs
from modules.weights.networks.updates import Layer, layer_update, rank_of
from modules.weights.tensor_file import TensorFile, open_tensors

_BUNDLED: Final = "bundle_emb."
# An embedding inside a network file: its name, then for which text encoder its tensor is.
_BUNDLED_NAME: Final = re.compile(r"bundle_emb\.(.+?)\.(?:string_to_param\..+|emb_params|(clip_l|clip_g))")


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network file's content, in memory of its own."""

    path: Path
    layers: Mapping[str, Layer]
    """By the layer's name as the file spells it."""
    embeddings: Mapping[str, Embedding]
    """Textual inversions that come with it, by name."""
    metadata: Mapping[str, str]
    size: int
    """Bytes of its tensors."""
    base: str
    """What it is for, by its shapes; "" if they don't say it (see `base_of`)."""


def read_network(path: Path) -> Network:
    """Read a network file whole.

    Raises:
        ModelFileError: the file is damaged, unsafe, of another kind, holds NaN or infinity, or a layer has parts that
            no known kind has; one sentence says which.
    """
    with open_tensors(path, mapped=False) as file:
        _check_kind(file)
        base = base_of(file.shapes)
        tensors = {name: file.tensor(name) for name in file.shapes}
        metadata = dict(file.metadata)
    for name, tensor in tensors.items():
        check_finite(path, name, tensor)
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if not name.startswith(_BUNDLED):
            layer, part = split_name(name)
            parts[layer][part] = tensor
    configs = read_adapter_configs(path, metadata)
    layers = {layer: _layer(path, base, layer, held, configs) for layer, held in parts.items()}
    size = sum(tensor.nbytes for tensor in tensors.values())
    return Network(path, layers, _embeddings(path, tensors), metadata, size, base)


def _check_kind(file: TensorFile) -> None:
    kind = classify_tensors(file.shapes)
    if kind is not ModelKind.LORA:
        raise CheckpointError(f"{file.path.name} is not a LoRA or one of its relatives but {kind.value}.")


def _layer(path: Path, base: str, layer: str, parts: dict[str, Tensor], configs: Mapping[str, AdapterConfig]) -> Layer:
    prefix = next((prefix for prefix in configs if layer.startswith(prefix)), None)
    try:
        if prefix is None:
            return layer_update(parts)
        config = configs[prefix]
        _add_settings(parts, config, layer.removeprefix(prefix))
        return layer_update(parts, config.rotation)
    except NetworkError as error:
        made_for = f" It is for {base}." if base else ""
        raise NetworkError(
            f"{path.name} can't be applied: the layer {layer!r} is not understood: {error}.{made_for}"
        ) from error


def _add_settings(parts: dict[str, Tensor], config: AdapterConfig, layer: str) -> None:
    """Give a layer its alpha, its scale or what an IA3 scales, where the file itself doesn't have them."""
    if "ia3_l" in parts and "on_input" not in parts:
        parts["on_input"] = torch.tensor(config.scales_inputs(layer))
    if not parts.keys().isdisjoint({"alpha", "scale"}):
        return
    if "down" in parts:
        alpha = config.alpha_of(layer, rank_of(parts) or 0)
        if alpha is not None:
            parts["alpha"] = torch.tensor(alpha)
    elif any(part.startswith(("hada_", "lokr_")) for part in parts):
        scale = config.scale_of(layer)
        if scale is not None:
            parts["scale"] = torch.tensor(scale)


def _embeddings(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Embedding]:
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        bundled = _BUNDLED_NAME.fullmatch(name)
        if bundled is not None:
            found[bundled[1]][bundled[2] or ""] = checked_vectors(tensor, path).float()
    return {name: Embedding(vectors) for name, vectors in found.items()}
