"""Adaptive projected guidance (APG): out = c + (s - 1) · (d⊥ + η · d∥), d parted by the direction of c.

Sadat et al. (2024), arXiv:2410.02416: d = c - u + m · d of the call before, made no longer than the threshold; its part
along c oversaturates. All products and lengths are over the whole of an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, linalg

from modules.features.adaptive_projected_guidance.declare import AdaptiveProjectedGuidanceArguments
from modules.features.each_pass import each_pass
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall


class AdaptiveProjectedGuidance(PassHook):
    """Remembers the differences of a pass."""

    def __init__(self, arguments: AdaptiveProjectedGuidanceArguments) -> None:
        self._arguments = arguments
        self._average: Tensor | None = None

    def guide(self, guided: GuidedCall) -> Tensor:
        if guided.uncond is None:
            return guided.combined
        own, cond = self._arguments, guided.guided(1.0)
        difference = cond - guided.uncond
        if self._average is not None:
            difference = difference + self._average * own.momentum
        self._average = difference
        if own.norm_threshold > 0:
            length = linalg.vector_norm(difference, dim=(1, 2, 3), keepdim=True)
            difference = difference * (own.norm_threshold / length).clamp(max=1.0)
        direction = cond / linalg.vector_norm(cond, dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(cond.dtype).tiny)
        parallel = (difference * direction).sum((1, 2, 3), keepdim=True) * direction
        estimate: Tensor = cond + (difference - parallel * (1 - own.eta)) * (guided.scale - 1)
        return estimate


def _hooks_of(arguments: AdaptiveProjectedGuidanceArguments, context: PassContext) -> Sequence[PassHook]:
    """None where nothing is projected, limited or remembered."""
    neutral = arguments.eta == 1 and arguments.norm_threshold == 0 and arguments.momentum == 0
    return () if neutral else (AdaptiveProjectedGuidance(arguments),)


adaptive_projected_guidance = each_pass(AdaptiveProjectedGuidanceArguments, _hooks_of)
