"""Smoothed-energy guidance (SEG): out = g + s · (c - p), p the answer with blurred queries in the middle block.

Hong (2024), arXiv:2408.00760: blurring the queries of self-attention by a Gaussian of σ cells flattens its energy; from
σ = 9999 on each query is the mean of them all. One more forward a step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.features.each_pass import each_pass
from modules.features.smoothed_energy.declare import SmoothedEnergyArguments
from modules.generation.blurring import gaussian_blurred
from modules.generation.module_hooks import middle_attentions, module_hooks
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall

_WHOLE: Final = 9999


def blurred_queries(query: Tensor, cells: tuple[int, int], sigma: float) -> Tensor:
    """Queries (rows, places, channels) of a picture of (height, width) cells, blurred over places."""
    if sigma >= _WHOLE:
        return query.mean(1, keepdim=True).expand_as(query)
    picture = query.mT.reshape(query.shape[0], query.shape[2], *cells)
    return gaussian_blurred(picture, 2 * math.ceil(3 * sigma) + 1, sigma).flatten(2).mT


class SmoothedEnergy(PassHook):
    """Asks the model once more with blurred queries."""

    def __init__(self, arguments: SmoothedEnergyArguments) -> None:
        self._arguments = arguments
        self._blurs = False
        self._cells = (1, 1)

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        with module_hooks(unet) as add:
            for one in middle_attentions(unet):
                add(one.transformer.register_forward_pre_hook(self._enter))
                add(one.to_query.register_forward_hook(self._leave))
            yield

    def _enter(self, _transformer: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._cells = inputs[0].shape[-2:]

    def _leave(self, _query: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return blurred_queries(output, self._cells, self._arguments.blur_sigma) if self._blurs else output

    def guide(self, guided: GuidedCall) -> Tensor:
        own = self._arguments
        if not guided.at.is_within(own.start, own.end):
            return guided.combined
        self._blurs = True
        try:
            smoothed = guided.of_images(guided.predict(guided.x, False))
        finally:
            self._blurs = False
        return guided.combined + (guided.cond - smoothed) * own.scale


def _hooks_of(arguments: SmoothedEnergyArguments, context: PassContext) -> Sequence[PassHook]:
    """None at scale 0, or without any blur."""
    return (SmoothedEnergy(arguments),) if arguments.scale and arguments.blur_sigma else ()


smoothed_energy = each_pass(SmoothedEnergyArguments, _hooks_of)
