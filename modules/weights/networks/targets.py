"""Which modules of a loaded model the layers of a network file mean: one table of all spellings of their names.

Names are made from the modules and never read backwards: `to_out_0` and `proj_in` don't say which of their underscores
were dots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from modules.families import Family, TextEncoderFacts, TextLayout
from modules.hardware.model_configs import DenoiserModule, unet_config
from modules.parameters.unet_blocks import BASE, block_of
from modules.weights.model import TextEncoder
from modules.weights.original_names import TensorSource, unet_original_name
from modules.weights.transformers import TRANSFORMERS

_CHANGEABLE: Final = (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)
_TEXT_MODEL: Final = "text_model."
# What diffusers once called the attention's layers: in its processors for the UNet, and in the text encoder.
_PROCESSOR: Final = {
    ".to_q": ".processor.to_q", ".to_k": ".processor.to_k", ".to_v": ".processor.to_v",
    ".to_out.0": ".processor.to_out",
}  # fmt: skip
_TEXT_ATTENTION: Final = {
    ".self_attn.q_proj": ".self_attn.to_q", ".self_attn.k_proj": ".self_attn.to_k",
    ".self_attn.v_proj": ".self_attn.to_v", ".self_attn.out_proj": ".self_attn.to_out",
}  # fmt: skip

# What stands before the layers of encoders that read texts whole, in their files.
BEFORE_LAYERS: Final[Mapping[TextLayout, str]] = {"qwen3": "model.", "t5": "encoder."}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A module whose weight, and bias if it has one, a network may change."""

    module: nn.Module
    path: str
    """In the model, "unet.down_blocks…" or "text_encoders.0.encoder.layers…"."""
    text_encoder: bool
    """It is part of a text encoder, whose multiplier then counts."""
    block: str = ""
    """Its block as lists of block weights name it: BASE, IN00 and so on, M00, OUT00 and so on; "" outside of them."""


class NamedModules(Protocol):
    """What names are made from: a loaded model, or one without weights."""

    @property
    def unet(self) -> DenoiserModule: ...

    @property
    def text_encoders(self) -> tuple[TextEncoder, ...]: ...

    @property
    def family(self) -> Family: ...


def network_targets(model: NamedModules) -> dict[str, Target]:
    """The linear layers, convolutions and norms of `model`, by every spelling of their names in network files."""
    table: dict[str, Target] = {}
    for target, spellings in (*_unet_modules(model), *_text_modules(model)):
        table.update(dict.fromkeys(spellings, target))
    return table


@dataclass(frozen=True, slots=True)
class RowShare:
    """A target that holds one of `count` equal parts of the rows of a layer in a network file, counted from 0, `span`
    of them from that one on, or all with the halves `swapped`.
    """

    target: Target
    index: int
    count: int
    swapped: bool = False
    span: int = 1

    def of_bias(self, bias: torch.Tensor) -> torch.Tensor:
        """Its part of what is added to the layer's bias."""
        return TensorSource("", (self.index, self.count), swapped=self.swapped, span=self.span).taken_from(bias)


def joined_targets(model: NamedModules, targets: Mapping[str, Target]) -> dict[str, tuple[RowShare, ...]]:
    """Layers of network files whose rows are several modules here, by every spelling: query, key and value in one
    matrix; or one module that has them in another order.

    What they share are those of `targets`, which `network_targets` made of the model.
    """
    if model.family.denoiser not in TRANSFORMERS:
        return {}
    by_path = {target.path: target for target in targets.values()}
    found: dict[str, list[RowShare]] = {}
    trained = TRANSFORMERS[model.family.denoiser].trained
    for target, source in _transformer_targets(model):
        named = [(source, _transformer_spellings(source.name.removesuffix(".weight")))]
        if (other := trained(f"{target.path.removeprefix('unet.')}.weight")) is not None:
            named.append((other, [other.name]))
        for one, spellings in named:
            index, count = one.part
            if count > 1 or one.swapped:
                share = RowShare(by_path[target.path], index, count, one.swapped, one.span)
                for spelling in spellings:
                    found.setdefault(spelling, []).append(share)
    return {name: tuple(sorted(shares, key=lambda share: share.index)) for name, shares in found.items()}


def _changeable(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for path, module in root.named_modules():
        if isinstance(module, _CHANGEABLE) and module.weight is not None:
            yield path, module


def _transformer_targets(model: NamedModules) -> Iterator[tuple[Target, TensorSource]]:
    original = TRANSFORMERS[model.family.denoiser].original
    for path, module in _changeable(model.unet):
        yield Target(module, f"unet.{path}", text_encoder=False), original(f"{path}.weight")


def _transformer_spellings(name: str) -> list[str]:
    flat = name.replace(".", "_")
    return [
        *(f"{prefix}{flat}" for prefix in ("lora_unet_", "oft_unet_", "lora_transformer_", "lycoris_")),
        *(f"{prefix}{name}" for prefix in ("", "unet.", "transformer.", "diffusion_model.", "model.diffusion_model.")),
        *(f"{prefix}base_model.model.{name}" for prefix in ("", "unet.", "transformer.")),
    ]


def _unet_modules(model: NamedModules) -> Iterator[tuple[Target, list[str]]]:
    if (kind := TRANSFORMERS.get(model.family.denoiser)) is not None:
        for target, source in _transformer_targets(model):
            names = [target.path.removeprefix("unet.")]
            if source.part[1] == 1 and not source.swapped:
                names.append(source.name.removesuffix(".weight"))
            spellings = [spelling for name in dict.fromkeys(names) for spelling in _transformer_spellings(name)]
            if (other := kind.trained(f"{names[0]}.weight")) is not None and other.part[1] == 1:
                spellings.append(other.name)
            yield target, spellings
        return
    assert isinstance(model.unet, UNet2DConditionModel)
    config = unet_config(model.unet)
    attention = ["CrossAttn" in kind for kind in config.down_block_types]
    layers = config.layers_per_block
    per_level = [layers] * len(attention) if isinstance(layers, int) else layers
    for path, module in _changeable(model.unet):
        original = unet_original_name(f"{path}.weight", per_level, attention).removesuffix(".weight")
        target = Target(module, f"unet.{path}", text_encoder=False, block=block_of(original))
        yield target, _unet_spellings(path, original)


def _unet_spellings(path: str, original: str) -> list[str]:
    flat, flat_original = path.replace(".", "_"), original.replace(".", "_")
    dotted = [path, *(path.removesuffix(new) + old for new, old in _PROCESSOR.items() if path.endswith(new))]
    return [
        *(f"{prefix}{name}" for prefix in ("lora_unet_", "oft_unet_") for name in (flat, flat_original)),
        f"lycoris_{flat}",
        *(f"{prefix}{name}" for prefix in ("", "unet.") for name in dotted),
        original,
        *(f"{prefix}base_model.model.{path}" for prefix in ("", "unet.")),
        f"diffusion_model.{original}",
    ]


def _text_modules(model: NamedModules) -> Iterator[tuple[Target, list[str]]]:
    encoders = zip(model.family.text_encoders, model.text_encoders, strict=True)
    for index, (facts, encoder) in enumerate(encoders):
        for path, module in _changeable(encoder):
            target = Target(module, f"text_encoders.{index}.{path}", text_encoder=True, block=BASE)
            yield target, _text_spellings(facts, path)


def _text_spellings(facts: TextEncoderFacts, path: str) -> list[str]:
    """Files have the names of transformers before version 5, where each layer but the projection is in `text_model`."""
    if (before := BEFORE_LAYERS.get(facts.layout)) is not None:
        return _language_model_spellings(facts, before, path)
    name = path if path.startswith((_TEXT_MODEL, "text_projection")) else _TEXT_MODEL + path
    dotted = [name, *(name.removesuffix(new) + old for new, old in _TEXT_ATTENTION.items() if name.endswith(new))]
    spellings = [f"text_encoders.{facts.role}.transformer.{name}"]
    for prefix in facts.network_prefixes:
        if prefix.endswith("_"):
            spellings.append(prefix + name.replace(".", "_"))
        else:
            spellings += [*(prefix + one for one in dotted), f"{prefix}base_model.model.{name}"]
    return spellings


def _language_model_spellings(facts: TextEncoderFacts, before: str, path: str) -> list[str]:
    name = before + path
    spellings = [f"text_encoders.{facts.role}.transformer.{name}"]
    for prefix in facts.network_prefixes:
        for one in (path, name):
            spellings.append(prefix + (one.replace(".", "_") if prefix.endswith("_") else one))
    return spellings
