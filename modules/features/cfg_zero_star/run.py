"""CFG-Zero*: v = s* · v_u + w · (v_c - s* · v_u), s* = <v_c, v_u> / |v_u|², and v = 0 in the first calls.

Fan et al. (2025), arXiv:2503.18886, for models of flow matching, whose first answers are worse than none. s* is that of
the raw answers, image by image; noise that a model predicts is scaled in the same way, but never left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.features.cfg_zero_star.declare import CfgZeroStarArguments
from modules.features.each_pass import each_pass
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import GuidedCall


class CfgZeroStar(PassHook):
    """Guides by answers that are `x` less the estimate of the finished latent, as far as a factor goes.

    `is_flow` says that the model's answer is noise - image.
    """

    def __init__(self, zero_init_steps: int, *, is_flow: bool) -> None:
        self._zero_init_steps = zero_init_steps
        self._is_flow = is_flow

    def guide(self, guided: GuidedCall) -> Tensor:
        if self._is_flow and guided.at.call < self._zero_init_steps:
            return guided.x
        if guided.uncond is None:
            return guided.combined
        scale = 1.0 if self._is_flow else guided.image_scale
        uncond = guided.x - guided.uncond * scale
        cond = guided.x - guided.cond * scale
        along, own = (cond * uncond).sum((1, 2, 3), keepdim=True), uncond.square().sum((1, 2, 3), keepdim=True)
        scaled = uncond * (along / own.clamp_min(torch.finfo(own.dtype).tiny))
        answer = scaled.clone()
        for row, (image, weight) in enumerate(guided.owners):
            answer[image] += (guided.x[image] - guided.conds[row] * scale - scaled[image]) * (weight * guided.scale)
        return (guided.x - answer) / scale


def _hooks_of(arguments: CfgZeroStarArguments, context: PassContext) -> Sequence[PassHook]:
    """Has no neutral value."""
    is_flow = context.pipeline.model.family.flow is not None
    return (CfgZeroStar(arguments.zero_init_steps, is_flow=is_flow),) if arguments.enabled else ()


cfg_zero_star = each_pass(CfgZeroStarArguments, _hooks_of)
