"""The strength of PEFT's and diffusers' networks, which stands beside their tensors: in the metadata or a file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from modules.weights.checkpoint_errors import NetworkError
from modules.weights.networks.peft_rotations import RotationSettings

_METADATA_KEY: Final = "lora_adapter_metadata"
_FILE: Final = "adapter_config.json"
_LARGEST_FILE: Final = 1 << 20
# What PEFT writes in front of the names of layers; only its own files have the configuration beside them.
_PEFT: Final = "base_model.model."
# PEFT takes the names of layers in its patterns as regular expressions. Others than these are not read: one that
# strangers write may take hours.
_READABLE: Final = re.compile(r"\^?(?:[\w-]|\\\.|\.\*?)+\$?")
_ANYTHING: Final = ".*"


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """PEFT's configuration of a network for one part of a model, as far as it says how that acts."""

    alpha: float | None
    rank: float | None
    alphas: Mapping[str, float]
    """Those of some layers, by the ends of their names, in which ".*" is anything; behind "^" stands a whole name."""
    ranks: Mapping[str, float]
    rank_stabilized: bool
    rotation: RotationSettings
    feedforward: str | tuple[str, ...]
    """Which layers an IA3 scales the inputs of: one pattern for whole names, or the ends of names."""

    def alpha_of(self, layer: str, rank: int) -> float | None:
        """The number that over the rank is the scale of a LoRA's `layer`; None if it isn't said.

        Rank-stabilised LoRA (Kalajdzievski, 2023, arXiv:2312.03732) divides by the root of the rank.
        """
        alpha = _of_layer(layer, self.alphas, self.alpha)
        if alpha is None:
            return None
        return alpha * math.sqrt(rank) if self.rank_stabilized else alpha

    def scale_of(self, layer: str) -> float | None:
        """The scale of a LoHa's or LoKr's `layer`, whose tensors need not show the rank; None if it isn't said."""
        alpha, rank = _of_layer(layer, self.alphas, self.alpha), _of_layer(layer, self.ranks, self.rank)
        return alpha / rank if alpha is not None and rank else None

    def scales_inputs(self, layer: str) -> bool:
        """Whether an IA3 scales what goes into `layer`, and not what comes out of it.

        Raises NetworkError: that is said by a pattern which can't be read.
        """
        if isinstance(self.feedforward, tuple):
            return layer.endswith(self.feedforward)
        if not _READABLE.fullmatch(self.feedforward):
            raise NetworkError(f"the pattern {self.feedforward[:60]!r} in its configuration can't be read")
        return _is_named(layer, self.feedforward, whole=True)


def read_adapter_configs(path: Path, metadata: Mapping[str, str]) -> dict[str, AdapterConfig]:
    """The configurations of a network file, by what the names of the layers begin with that they are for.

    diffusers has them in the metadata, for each part of the pipeline ("unet.lora_alpha"); PEFT in a file beside.

    Raises:
        NetworkError: they are there and can't be read: the network's strength is then unknown.
    """
    found: dict[str, AdapterConfig] = {}
    inside = f"{_METADATA_KEY} of {path.name}"
    if _METADATA_KEY in metadata:
        parts: dict[str, dict[str, object]] = {}
        for key, value in _parsed(metadata[_METADATA_KEY], inside).items():
            part, _, name = key.partition(".")
            parts.setdefault(part, {})[name] = value
        found = {f"{part}.": _config(values, inside) for part, values in parts.items()}
    beside = path.with_name(_FILE)
    if beside.is_file() and beside.stat().st_size <= _LARGEST_FILE:
        config = _config(_parsed(beside.read_text("utf-8", errors="replace"), _FILE), _FILE)
        found |= {_PEFT: config, f"unet.{_PEFT}": config}
    return found


def _parsed(text: str, what: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NetworkError(
            f"{what} is no JSON, so how strong this network is can't be known; repair or remove it."
        ) from error
    return document if isinstance(document, dict) else {}


def _config(values: Mapping[str, object], what: str) -> AdapterConfig:
    return AdapterConfig(
        _number(values.get("lora_alpha", values.get("alpha"))),
        _number(values.get("r")),
        _patterns(values.get("alpha_pattern"), what),
        _patterns(values.get("rank_pattern"), what),
        values.get("use_rslora") is True,
        RotationSettings.of(values),
        _names(values.get("feedforward_modules")),
    )


def _patterns(value: object, what: str) -> Mapping[str, float]:
    entries = value.items() if isinstance(value, dict) else ()
    found = {name: number for name, entry in entries if (number := _number(entry)) is not None}
    unread = next((name for name in found if not _READABLE.fullmatch(name)), None)
    if unread is not None:
        raise NetworkError(
            f"{what} has the pattern {unread[:60]!r} for names of layers, which can't be read, so how strong this "
            "network is can't be known; write the names of the layers instead."
        )
    return found


def _names(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _number(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable and isinstance(value, int | float) else None


def _of_layer(layer: str, patterns: Mapping[str, float], otherwise: float | None) -> float | None:
    return next((value for end, value in patterns.items() if _ends_with(layer, end)), otherwise)


def _ends_with(layer: str, end: str) -> bool:
    """Whether PEFT takes the pattern `end` for one of this layer's name."""
    return _is_named(layer, end, whole=end.startswith("^"))


def _is_named(layer: str, end: str, *, whole: bool) -> bool:
    end = end.removeprefix("^").removesuffix("$").replace("\\.", ".")
    if _ANYTHING not in end:
        return layer == end or (not whole and layer.endswith(f".{end}"))
    wild = end.replace(_ANYTHING, "*")
    return fnmatchcase(layer, wild) or (not whole and fnmatchcase(layer, f"*.{wild}"))
