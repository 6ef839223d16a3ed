"""Attention in the UNet: A1111's names for it, and the processors that stand behind them here.

`UNet2DConditionModel.set_attention_backend` is accepted by diffusers but does nothing for these UNets, so a processor
is set. PyTorch's scaled_dot_product_attention (SDPA) is what the optimisations of 2022 grew into: it is as fast as
xformers and needs no package.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol

import torch
from diffusers.models.attention_processor import (
    AttnProcessor,
    AttnProcessor2_0,
    SlicedAttnProcessor,
    XFormersAttnProcessor,
)
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.hardware.attention_kernels import (
    Kernel,
    by_free_memory,
    by_queries,
    fused,
    repeatable,
    sub_quadratic,
    within,
)
from modules.hardware.budget import SLICE, Scores
from modules.hardware.machine import Machine
from modules.hardware.model_configs import DenoiserModule, set_attention_processor

AttentionName = Literal["sdp", "sdp-no-mem", "xformers", "sub-quad", "split", "split-v1", "invokeai", "math"]

DEFAULT_QUERY_CHUNK: Final = 1024
# The InvokeAI rule caps a slice where the free memory is unknown.
_INVOKE_SCORES: Final = 1 << 28

BY_SETTING: Final[dict[str, AttentionName]] = {
    "xformers": "xformers",
    "sdp-no-mem": "sdp-no-mem",
    "sdp": "sdp",
    "sub-quadratic": "sub-quad",
    "V1": "split-v1",
    "InvokeAI": "invokeai",
    "Doggettx": "split",
    "None": "math",
}
"""What the setting `cross_attention_optimization` may say besides "Automatic"."""

log = logging.getLogger(__name__)


class AttentionModule(Protocol):
    """The part of diffusers' `Attention` that a processor of ours calls."""

    heads: int
    to_q: nn.Linear
    to_k: nn.Linear
    to_v: nn.Linear
    to_out: nn.ModuleList


@dataclass(frozen=True, slots=True)
class AttentionRequest:
    """What flags ask for. The chunks and the threshold (per cent of free memory) are for "sub-quad"; `upcast` computes
    any of them in 32 bits.
    """

    name: AttentionName | None = None
    query_chunk: int = DEFAULT_QUERY_CHUNK
    key_chunk: int | None = None
    threshold: int | None = None
    upcast: bool = False


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    """The attention in use and, in a few words, what decided it. `upcast` computes it in 32 bits."""

    name: AttentionName
    why: str
    query_chunk: int = DEFAULT_QUERY_CHUNK
    key_chunk: int | None = None
    threshold: int | None = None
    upcast: bool = False


def choose_attention(
    requested: AttentionRequest,
    device: torch.device,
    machine: Machine,
    setting: str = "Automatic",
    *,
    upcast: bool = False,
) -> AttentionChoice:
    """What the setting names, else the flags, where it can work; else SDPA with one line that says so.

    In 32 bits where either wants that.
    """
    named = BY_SETTING.get(setting, requested.name)
    by = "as the setting says" if setting in BY_SETTING else "as the flag says"
    name, why = (named, by) if named else ("sdp", "the default: fast and sparing everywhere")
    if name == "xformers" and not machine.xformers:
        name, why = "sdp", "xformers is not installed, and this is as fast"
        log.warning("--xformers: the package is not installed; PyTorch's SDPA is used, which is as fast.")
    elif name == "xformers" and device.type != "cuda":
        name, why = "sdp", "xformers works on CUDA devices only"
        log.warning("--xformers works on CUDA devices only; PyTorch's SDPA is used on %s.", device.type)
    in_32_bits = upcast or requested.upcast
    return AttentionChoice(name, why, requested.query_chunk, requested.key_chunk, requested.threshold, in_32_bits)


def apply_attention(unet: DenoiserModule, choice: AttentionChoice) -> None:
    """Set the processor of `choice` on every attention of the UNet. Transformers have their own, which is PyTorch's."""
    if not isinstance(unet, UNet2DConditionModel):
        return
    set_attention_processor(unet, _processor(choice))


def scores_of(choice: AttentionChoice) -> Scores:
    """How much of the scores this attention holds in memory at once."""
    if choice.upcast:
        # The kernels that work in 32 bits are fused or go by parts.
        return "fused"
    return "sliced" if choice.name == "split-v1" else "whole" if choice.name == "math" else "fused"


def _processor(choice: AttentionChoice) -> object:
    if choice.upcast:
        # The kernels of diffusers' own processors stay in the model's type.
        return KernelAttention(_kernel(choice), upcast=True)
    match choice.name:
        case "sdp":
            return AttnProcessor2_0()  # type: ignore[no-untyped-call]  # unannotated in diffusers
        case "xformers":
            return XFormersAttnProcessor()
        case "split-v1":
            return SlicedAttnProcessor(slice_size=SLICE)
        case "math":
            return AttnProcessor()
        case _:
            return KernelAttention(_kernel(choice))


def _kernel(choice: AttentionChoice) -> Kernel:
    kernels: dict[AttentionName, Kernel] = {
        "sdp-no-mem": repeatable,
        "split": by_free_memory,
        "split-v1": partial(by_queries, chunk=DEFAULT_QUERY_CHUNK),
        "invokeai": partial(within, scores=_INVOKE_SCORES),
        "sub-quad": partial(
            sub_quadratic,
            query_chunk=choice.query_chunk,
            key_chunk=choice.key_chunk,
            threshold=choice.threshold,
        ),
    }
    return kernels.get(choice.name, fused)


@dataclass(frozen=True, slots=True)
class KernelAttention:
    """A processor that projects, calls `kernel`, and projects back; with `upcast` the kernel works in 32 bits."""

    kernel: Callable[[Tensor, Tensor, Tensor], Tensor]
    upcast: bool = False

    def __call__(
        self,
        attn: AttentionModule,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """One transformer attention; hidden states [batch, tokens, channels], context [batch, tokens, channels]."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        if self.upcast:
            query, key, value = query.float(), key.float(), value.float()
        joined = self.kernel(query, key, value).to(hidden_states.dtype).transpose(1, 2).flatten(2)
        projected_out: Tensor = attn.to_out[1](attn.to_out[0](joined))
        return projected_out
