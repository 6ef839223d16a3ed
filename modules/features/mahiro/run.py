"""Mahiro CFG: out = (k · g + (4 - k) · l) / 4, which leans to the prompt alone where guidance pulls elsewhere.

By Yoinked (2024), without a paper. l = s · c is the leap, m = (l + g) / 2 the middle; k = 2 · (1 + the mean of
cos(±√|s · u|, ±√|m|)), whose cosines are over channels, and whose mean is over the cells of each image.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import cosine_similarity

from modules.features.each_pass import each_pass
from modules.features.mahiro.declare import MahiroArguments
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall


class Mahiro(PassHook):
    """Mixes the guided estimate and the leap."""

    def guide(self, guided: GuidedCall) -> Tensor:
        if guided.uncond is None:
            return guided.combined
        leap = guided.guided(1.0) * guided.scale
        middle = (leap + guided.combined) / 2
        alike = cosine_similarity(_rooted(guided.uncond * guided.scale), _rooted(middle), dim=1)
        share = (1 + alike.mean((1, 2))).view(-1, 1, 1, 1) / 2
        return guided.combined * share + leap * (1 - share)


def _rooted(x: Tensor) -> Tensor:
    return x.abs().sqrt() * x.sign()


def _hooks_of(arguments: MahiroArguments, context: PassContext) -> Sequence[PassHook]:
    """Has no neutral value."""
    return (Mahiro(),) if arguments.enabled else ()


mahiro = each_pass(MahiroArguments, _hooks_of)
