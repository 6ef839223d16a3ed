"""Hooks on the modules of a UNet that are gone when a pass is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modules.hardware.attention import AttentionModule
from modules.hardware.compiling import run_plain
from modules.hardware.model_configs import unet_config

# Has a hook removed when the pass is over.
Add = Callable[[RemovableHandle], object]
# What a residual block or a transformer gives.
Output = TypeVar("Output", Tensor, tuple[Tensor, ...])


@contextmanager
def module_hooks(unet: UNet2DConditionModel) -> Iterator[Add]:
    """Gives what hooks are handed to: when this closes they are removed. Blocks that were compiled run plain meanwhile,
    since compiled code would not see them.
    """
    with ExitStack() as stack:
        stack.enter_context(run_plain([part for part in unet.modules() if isinstance(part, BasicTransformerBlock)]))
        yield lambda handle: stack.callback(handle.remove)


# What an attention makes of a context (rows, tokens, channels): (rows, places, channels).
Attend = Callable[[Tensor], Tensor]
# What is computed instead, of the hidden states (rows, places, channels), the context and the attention itself.
CrossAttention = Callable[[Tensor, Tensor, Attend], Tensor]


@contextmanager
def cross_attentions_changed(
    unet: UNet2DConditionModel, change: Callable[[Transformer2DModel, Any, Add], CrossAttention | None]
) -> Iterator[None]:
    """While open, each cross attention computes as `change` says of its transformer, itself and what hooks go to.

    Where it says nothing the attention stays as it is.
    """
    attentions: list[tuple[Any, Callable[..., Tensor]]] = []
    with module_hooks(unet) as add:
        try:
            for transformer in unet.modules():
                if not isinstance(transformer, Transformer2DModel):
                    continue
                for block in transformer.modules():
                    if isinstance(block, BasicTransformerBlock) and block.attn2 is not None:
                        attention: Any = block.attn2
                        look = change(transformer, attention, add)
                        if look is not None:
                            attentions.append((attention, attention.processor))
                            attention.set_processor(_ChangedProcessor(look, attention.processor))
            yield
        finally:
            for attention, processor in attentions:
                attention.set_processor(processor)


@dataclass(frozen=True, slots=True)
class _ChangedProcessor:
    """Computes as `look` says with `inner`, in the form of diffusers' processors."""

    look: CrossAttention
    inner: Callable[..., Tensor]

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        def attend(context: Tensor | None) -> Tensor:
            return self.inner(attn, hidden_states, context, attention_mask, temb)

        if encoder_hidden_states is None:
            return attend(None)
        return self.look(hidden_states, encoder_hidden_states, attend)


@dataclass(frozen=True, slots=True)
class SelfAttention:
    """The transformer that a self-attention stands in, whose input is (rows, channels, height, width), and itself."""

    transformer: Transformer2DModel
    attention: nn.Module

    @property
    def to_query(self) -> nn.Module:
        """The layer that makes queries, (rows, places, channels)."""
        return cast(nn.Module, self.attention.to_q)


def middle_attentions(unet: UNet2DConditionModel) -> tuple[SelfAttention, ...]:
    """The self-attentions of the middle block in the order in which they compute: one in SD1, ten in SDXL."""
    return self_attentions(unet.mid_block) if isinstance(unet.mid_block, nn.Module) else ()


def self_attentions(part: nn.Module) -> tuple[SelfAttention, ...]:
    """Those in a part of a UNet."""
    return tuple(
        SelfAttention(transformer, block.attn1)
        for transformer in part.modules()
        if isinstance(transformer, Transformer2DModel)
        for block in transformer.modules()
        if isinstance(block, BasicTransformerBlock)
    )


def decoder_joins(unet: UNet2DConditionModel) -> Iterator[tuple[ResnetBlock2D, int]]:
    """The blocks whose input is the decoder's features with a skip joined on, and how many channels are features."""
    width = unet_config(unet).block_out_channels[-1]
    for level in unet.up_blocks:
        for block in cast(Iterable[ResnetBlock2D], level.resnets):
            yield block, width
            width = block.out_channels


@dataclass(frozen=True, slots=True)
class EncoderStage:
    """One of the encoder's steps, by the first and the last of its modules: both take features first."""

    first: nn.Module
    last: nn.Module


def encoder_stages(unet: UNet2DConditionModel) -> list[EncoderStage]:
    """The steps that each leave a skip, from the first convolution on, as checkpoints count them; then the middle."""
    stages = [EncoderStage(unet.conv_in, unet.conv_in)]
    for level in unet.down_blocks:
        stages += (EncoderStage(blocks[0], blocks[-1]) for blocks in _blocks(level))
        stages += (EncoderStage(one, one) for one in cast(Iterable[nn.Module], level.downsamplers or ()))
    middle = cast(nn.Module, unet.mid_block)
    return [*stages, EncoderStage(middle, middle)]


def decoder_stages(unet: UNet2DConditionModel) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
    """Each level of the decoder, with the modules after which its features meet the next skip."""
    for level in unet.up_blocks:
        yield level, [blocks[-1] for blocks in _blocks(level)][:-1]


def _blocks(level: nn.Module) -> list[tuple[nn.Module, ...]]:
    """The residual blocks of a level, each with the transformer behind it if it has one."""
    attentions = getattr(level, "attentions", None)
    parts = [level.resnets] if attentions is None else [level.resnets, attentions]
    return list(zip(*(cast(Iterable[nn.Module], part) for part in parts), strict=True))


def first_width(unet: UNet2DConditionModel) -> int:
    """How many channels the finest level has."""
    return unet_config(unet).block_out_channels[0]


def changed(output: Output, change: Callable[[Tensor], Tensor]) -> Output:
    """A module's answer with what `change` makes of its features."""
    return change(output) if isinstance(output, Tensor) else (change(output[0]), *output[1:])


def only_values(attention: nn.Module, x: Tensor) -> Tensor:
    """What self-attention gives where each place of `x` (rows, places, channels) sees only itself."""
    own = cast(AttentionModule, attention)
    made: Tensor = own.to_v(x)
    for part in own.to_out:
        made = part(made)
    return made


def attention_received(attention: nn.Module, x: Tensor) -> Tensor:
    """How much each place of `x` (rows, places, channels) is attended to: the mean of the heads, summed over places
    that look. (rows, places), float32.
    """
    own = cast(AttentionModule, attention)
    query, key = (part(x).float().unflatten(-1, (own.heads, -1)).transpose(1, 2) for part in (own.to_q, own.to_k))
    scores = query @ key.mT * query.shape[-1] ** -0.5
    received: Tensor = scores.softmax(-1).mean(1).sum(1)
    return received


def attention_to_tokens(attention: nn.Module, x: Tensor, context: Tensor, tokens: Sequence[int]) -> Tensor:
    """How much each place of `x` (rows, places, channels) attends to these of the `context`'s tokens: the mean of the
    heads. (rows, places), float32.
    """
    own = cast(AttentionModule, attention)
    given = (own.to_q, x), (own.to_k, context)
    query, key = (part(rows).unflatten(-1, (own.heads, -1)).transpose(1, 2) for part, rows in given)
    seen = torch.zeros(x.shape[:2], device=x.device)
    # One head after the other: of all of them at once the scores of a large picture are gigabytes.
    for head in range(own.heads):
        scores = query[:, head].float() @ key[:, head].float().mT * query.shape[-1] ** -0.5
        seen += scores.softmax(-1)[..., tokens].sum(-1)
    return seen / own.heads
