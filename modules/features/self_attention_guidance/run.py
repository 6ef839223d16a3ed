"""Self-attention guidance (SAG): away from what the model makes of a picture whose attended parts are blurred.

Hong et al. (2022), arXiv:2210.00939: out = g + s · (d - UNet(d + x - u, negative prompt)), where d is the negative
prompt's estimate u, blurred (Gaussian, 9 taps) where the middle block's attention to a place, the mean of its heads
summed over all places that look, is over the threshold. One more forward a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from modules.features.each_pass import each_pass
from modules.features.self_attention_guidance.declare import SelfAttentionGuidanceArguments
from modules.generation.blurring import gaussian_blurred
from modules.generation.module_hooks import attention_received, middle_attentions, module_hooks
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import CallPosition, GuidedCall

_TAPS: Final = 9


class SelfAttentionGuidance(PassHook):
    """Notes how much each place is attended to, and guides away from the answer to blurred ones."""

    def __init__(self, arguments: SelfAttentionGuidanceArguments) -> None:
        self._arguments = arguments
        self._notes = False
        self._cells = (1, 1)
        self._attended: Tensor | None = None

    def begin_call(self, at: CallPosition) -> None:
        self._notes, self._attended = True, None

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        with module_hooks(unet) as add:
            for one in middle_attentions(unet)[:1]:
                add(one.transformer.register_forward_pre_hook(self._enter))
                add(one.attention.register_forward_pre_hook(self._note))
            yield

    def _enter(self, _transformer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._cells = (inputs[0].shape[-2], inputs[0].shape[-1])

    def _note(self, attention: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._notes:
            self._attended = attention_received(attention, inputs[0])

    def guide(self, guided: GuidedCall) -> Tensor:
        self._notes = False
        if guided.uncond is None or self._attended is None:
            return guided.combined
        # Rows of negative prompts come last, in a batch with the prompts' or in one of their own.
        attended = self._attended[-guided.x.shape[0] :].view(-1, 1, *self._cells)
        over = (attended > self._arguments.threshold).to(guided.x)
        mask = functional.interpolate(over, guided.x.shape[-2:], mode="nearest")
        blurred = torch.lerp(guided.uncond, gaussian_blurred(guided.uncond, _TAPS, self._arguments.blur_sigma), mask)
        answer = guided.predict(guided.x + (blurred - guided.uncond) * guided.image_scale, True)
        return guided.combined + (blurred - answer) * self._arguments.scale


def _hooks_of(arguments: SelfAttentionGuidanceArguments, context: PassContext) -> Sequence[PassHook]:
    """None at scale 0."""
    return (SelfAttentionGuidance(arguments),) if arguments.scale else ()


self_attention_guidance = each_pass(SelfAttentionGuidanceArguments, _hooks_of)
