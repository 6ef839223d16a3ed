"""Perturbed-attention guidance (PAG): out = g + s · (c - p), p the answer without self-attention in the middle block.

Ahn et al. (2024), arXiv:2403.17377: in the middle block each place sees only itself: the attention map is the identity,
so that what comes out is V. The scale falls linearly by `attenuation` per cent over the run. One more forward a step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.features.each_pass import each_pass
from modules.features.perturbed_attention.declare import PerturbedAttentionArguments
from modules.generation.module_hooks import middle_attentions, module_hooks, only_values
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall


class PerturbedAttention(PassHook):
    """Asks the model once more with self-attention in the middle block left out."""

    def __init__(self, arguments: PerturbedAttentionArguments) -> None:
        self._arguments = arguments
        self._perturbs = False

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        with module_hooks(unet) as add:
            for one in middle_attentions(unet):
                add(one.attention.register_forward_hook(self._leave))
            yield

    def _leave(self, attention: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return only_values(attention, inputs[0]) if self._perturbs else output

    def guide(self, guided: GuidedCall) -> Tensor:
        own = self._arguments
        if not guided.at.is_within(own.start, own.end):
            return guided.combined
        scale = own.scale * (1 - own.attenuation / 100 * guided.at.share)
        self._perturbs = True
        try:
            perturbed = guided.of_images(guided.predict(guided.x, False))
        finally:
            self._perturbs = False
        return guided.combined + (guided.cond - perturbed) * scale


def _hooks_of(arguments: PerturbedAttentionArguments, context: PassContext) -> Sequence[PassHook]:
    """None at scale 0."""
    return (PerturbedAttention(arguments),) if arguments.scale else ()


perturbed_attention = each_pass(PerturbedAttentionArguments, _hooks_of)
