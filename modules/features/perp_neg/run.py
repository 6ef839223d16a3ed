"""Perp-Neg: of parts of a prompt with a negative weight (`a cat AND fur :-1`) only what is perpendicular to the others
is taken away. Armandpour et al. (2023), arXiv:2304.04968.

With d the weighted sum of the other parts' c - u, and d_i that of a negative part with weight w_i:
out = u + s · (d + sum of w_i · (d_i - d · <d_i, d> / |d|²)).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.features.each_pass import each_pass
from modules.features.perp_neg.declare import PerpNegArguments
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall


class PerpNeg(PassHook):
    """Gives back what negative parts take along the direction of the others."""

    def guide(self, guided: GuidedCall) -> Tensor:
        negative = [
            (row, image, weight)
            for row, (image, weight) in enumerate(guided.owners)
            if not isinstance(weight, Tensor) and weight < 0
        ]
        if guided.uncond is None or not negative:
            return guided.combined
        rows = {row for row, _, _ in negative}
        wanted = torch.zeros_like(guided.combined)
        for row, (image, weight) in enumerate(guided.owners):
            if row not in rows:
                wanted[image] += (guided.conds[row] - guided.uncond[image]) * weight
        combined = guided.combined.clone()
        for row, image, weight in negative:
            direction = wanted[image]
            along = ((guided.conds[row] - guided.uncond[image]) * direction).sum()
            along = along / direction.square().sum().clamp_min(torch.finfo(direction.dtype).tiny)
            combined[image] -= direction * along * (weight * guided.scale)
        return combined


def _hooks_of(arguments: PerpNegArguments, context: PassContext) -> Sequence[PassHook]:
    """Without a negative part nothing changes."""
    return (PerpNeg(),) if arguments.enabled else ()


perp_neg = each_pass(PerpNegArguments, _hooks_of)
