"""Normalized attention guidance (NAG): z = s · z⁺ - (s - 1) · z⁻ in cross attention, so that a negative prompt acts
without guidance too. Chen et al. (2025), arXiv:2505.21179.

z⁺ and z⁻ are what attention to the prompt and to the negative prompt gives, before the output layer. Where |z|₁ is more
than τ · |z⁺|₁ it is brought back to that, place by place; out = α · z + (1 - α) · z⁺.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.features.each_pass import each_pass
from modules.features.normalized_attention.declare import NormalizedAttentionArguments
from modules.generation.conditions import ConditionsOf
from modules.generation.module_hooks import Add, Attend, CrossAttention, cross_attentions_changed
from modules.generation.pipeline import PassContext, PassHook
from modules.generation.unet import rows_apart
from modules.sampling import Conditioning, ConditionsAt, StepConditions, UNet, UnetResiduals
from modules.sampling.conditioning import stack_rows


def normalized(positive: Tensor, negative: Tensor, arguments: NormalizedAttentionArguments) -> Tensor:
    """(rows, places, channels) of attention to prompts, guided away from that to negative prompts."""
    guided = positive * arguments.scale - negative * (arguments.scale - 1)
    own, made = (one.float().abs().sum(-1, keepdim=True) for one in (positive, guided))
    bounded = guided * (own * arguments.tau / made.clamp_min(torch.finfo(made.dtype).tiny)).clamp_max(1).to(guided)
    return torch.lerp(positive, bounded, arguments.alpha)


class NormalizedAttention(PassHook):
    """Has each cross attention of prompts' rows look at their negative prompts first."""

    def __init__(self, arguments: NormalizedAttentionArguments) -> None:
        self.arguments = arguments
        self._step: StepConditions | None = None
        self._negative: tuple[Conditioning, ...] = ()
        self.shown: Tensor | None = None
        """The negative prompts of the rows of the present forward, (rows, tokens, channels); None where it has none."""

    def conditions(self, conditions_of: ConditionsOf) -> ConditionsOf:
        def noted(prompts: Sequence[str], negatives: Sequence[str]) -> ConditionsAt:
            of_pass = conditions_of(prompts, negatives)
            own = self.arguments.negative.strip()
            away = conditions_of(prompts, [own] * len(prompts)) if own else of_pass
            return partial(self._noted, of_pass, away)

        return noted

    def _noted(self, conditions: ConditionsAt, away: ConditionsAt, call: int) -> StepConditions:
        self._step, self._negative = conditions(call), away(call).negative
        return self._step

    def around(self, unet: UNet) -> UNet:
        return rows_apart(unet)

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """Nothing is added; but this says which negative prompts the rows of the forward that follows have."""
        self.shown = None
        if self._step is not None and not conditioning.negative_rows:
            images = [image for image, parts in enumerate(self._step.positive) for _ in parts]
            each = stack_rows([self._negative[image] for image in images]).context
            # Tiles of a row stand side by side.
            self.shown = each.repeat_interleave(conditioning.rows // len(images), dim=0)
        return None

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        with cross_attentions_changed(unet, self._guided):
            yield

    def _guided(self, _transformer: nn.Module, attention: Any, add: Add) -> CrossAttention:  # noqa: ANN401 - diffusers' own
        guided = _GuidedAttention(self)
        add(attention.to_out[0].register_forward_pre_hook(guided.leave))
        return guided.look


@dataclass(slots=True)
class _GuidedAttention:
    """Has an attention look at the negative prompts, then at the prompts."""

    hook: NormalizedAttention
    negative: Tensor | None = None
    stores: bool = False

    def leave(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Before the output layer: store what attention to the negative prompts gave, or guide away from it."""
        if self.stores:
            self.negative = inputs[0]
        elif self.negative is not None:
            return normalized(inputs[0], self.negative, self.hook.arguments), *inputs[1:]
        return None

    def look(self, hidden_states: Tensor, context: Tensor, attend: Attend) -> Tensor:
        if self.hook.shown is not None:
            self.stores = True
            attend(self.hook.shown.to(hidden_states))
            self.stores = False
        answer = attend(context)
        self.negative = None
        return answer


def _hooks_of(arguments: NormalizedAttentionArguments, context: PassContext) -> Sequence[PassHook]:
    """None at scale 1, or where nothing is mixed in."""
    return (NormalizedAttention(arguments),) if arguments.scale != 1 and arguments.alpha else ()


normalized_attention = each_pass(NormalizedAttentionArguments, _hooks_of)
