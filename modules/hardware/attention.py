"""Attention in the UNet: A1111's names for it, and the processors that stand behind them here.

`UNet2DConditionModel.set_attention_backend` is accepted by diffusers but does nothing for these UNets, so a processor
is set. PyTorch's scaled_dot_product_attention (SDPA) is what the optimisations of 2022 grew into: it is as fast as
xformers and needs no package.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0, XFormersAttnProcessor
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from modules.hardware.machine import Machine

AttentionName = Literal["sdp", "sdp-no-mem", "xformers", "sub-quad", "split", "math"]

DEFAULT_QUERY_CHUNK: Final = 1024
_SPLIT_QUERY_CHUNK: Final = 512

log = logging.getLogger(__name__)


class AttentionModule(Protocol):
    """The part of diffusers' `Attention` that a processor of ours calls."""

    heads: int
    to_q: nn.Linear
    to_k: nn.Linear
    to_v: nn.Linear
    to_out: nn.ModuleList


def choose_attention(wished: AttentionName | None, device: torch.device, machine: Machine) -> AttentionName:
    """What was asked for where it can work, else SDPA with one line that says so."""
    if wished != "xformers":
        return wished or "sdp"
    if not machine.xformers:
        log.warning("--xformers: the package is not installed; PyTorch's SDPA is used, which is as fast.")
        return "sdp"
    if device.type != "cuda":
        log.warning("--xformers works on CUDA devices only; PyTorch's SDPA is used on %s.", device.type)
        return "sdp"
    return "xformers"


def apply_attention(unet: UNet2DConditionModel, name: AttentionName, query_chunk: int = DEFAULT_QUERY_CHUNK) -> None:
    """Set the processor called `name` on every attention of the UNet; `query_chunk` is for "sub-quad"."""
    makers: dict[AttentionName, Callable[[], object]] = {
        "sdp": AttnProcessor2_0,
        "sdp-no-mem": RepeatableAttention,
        "xformers": XFormersAttnProcessor,
        "sub-quad": lambda: ChunkedAttention(query_chunk),
        "split": lambda: ChunkedAttention(_SPLIT_QUERY_CHUNK),
        "math": AttnProcessor,
    }
    unet.set_attn_processor(makers[name]())


@dataclass(frozen=True, slots=True)
class RepeatableAttention:
    """SDPA without the memory-efficient kernel, whose sums run in an order that changes between two calls."""

    inner: Callable[..., torch.Tensor] = field(default_factory=AttnProcessor2_0)

    def __call__(
        self,
        attn: AttentionModule,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH]):
            return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


@dataclass(frozen=True, slots=True)
class ChunkedAttention:
    """Exact attention over a few queries at a time, so that memory grows with `chunk` × keys, not queries × keys.

    For devices without a fused kernel ("Self-attention does not need O(n²) memory", arXiv:2112.05682). Each query's
    softmax is complete within its chunk, so nothing has to be rescaled.
    """

    chunk: int

    def __call__(
        self,
        attn: AttentionModule,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One transformer attention; hidden states [batch, tokens, channels], context [batch, tokens, channels]."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        chunks = [scaled_dot_product_attention(part, key, value) for part in query.split(self.chunk, dim=2)]
        joined = torch.cat(chunks, dim=2).transpose(1, 2).flatten(2)
        projected_out: torch.Tensor = attn.to_out[1](attn.to_out[0](joined))
        return projected_out
