"""Dynamic thresholding: guidance at a high scale whose values are held within the range of a lower one.

Saharia et al. (2022), arXiv:2205.11487, section 2.3, for pixels; here in latents, as McMonkey's extension (MIT licence)
does it: mimic = u + m · (c - u) and g = u + s · (c - u), both less their mean per channel; ref is the greatest |mimic|,
top the greater of ref and the quantile of |g|: out = φ · (clamp(g, ±top) · ref / top + mean) + (1 - φ) · g.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from modules.features.dynamic_thresholding.declare import DynamicThresholdingArguments
from modules.features.each_pass import each_pass
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import CallPosition, GuidedCall


def scheduled(scale: float, mode: str, least: float, value: float, at: CallPosition) -> float:
    """`scale` at a call: between `least` and itself by one of the modes."""
    share = min(at.call / max(at.calls - 1, 1), 1.0)
    cycle = (share * value) % 1.0
    by = {
        "Constant": 1.0,
        "Linear Down": 1 - share,
        "Half Cosine Down": math.cos(share),
        "Cosine Down": math.cos(share * math.pi / 2),
        "Linear Up": share,
        "Half Cosine Up": 1 - math.cos(share),
        "Cosine Up": 1 - math.cos(share * math.pi / 2),
        "Power Up": share**value,
        "Power Down": 1 - share**value,
        "Linear Repeating": abs(0.5 - cycle) * 2,
        "Cosine Repeating": math.cos(share * math.tau * value) / 2 + 0.5,
        "Sawtooth": cycle,
    }[mode]
    return scale if mode == "Constant" else (scale - least) * by + least


def thresholded(guided: Tensor, mimic: Tensor, arguments: DynamicThresholdingArguments) -> Tensor:
    """`guided` (images, channels, height, width) in the range of `mimic`, without the mixing."""
    over = (2, 3) if arguments.separate_feature_channels == "enable" else (1, 2, 3)
    flat = 2 if len(over) == 2 else 1
    mean: Tensor | float = 0.0
    if arguments.scaling_startpoint == "MEAN":
        mean = guided.mean(over, keepdim=True)
        mimic = mimic - mimic.mean(over, keepdim=True)
    centred = guided - mean
    tiny = torch.finfo(guided.dtype).tiny
    if arguments.variability_measure == "STD":
        return centred * (mimic.std(over, keepdim=True) / centred.std(over, keepdim=True).clamp_min(tiny)) + mean
    reference = mimic.abs().amax(over, keepdim=True)
    quantile = centred.abs().flatten(flat).quantile(arguments.threshold_percentile, dim=flat)
    top = torch.maximum(reference, quantile.view(reference.shape)).clamp_min(tiny)
    return torch.maximum(torch.minimum(centred, top), -top) * (reference / top) + mean


class DynamicThresholding(PassHook):
    """Guides at the scheduled scale, in the range of the scheduled mimic scale."""

    def __init__(self, arguments: DynamicThresholdingArguments) -> None:
        self._arguments = arguments

    def guide(self, guided: GuidedCall) -> Tensor:
        if guided.uncond is None:
            return guided.combined
        own, at = self._arguments, guided.at
        mimic = scheduled(own.mimic_scale, own.mimic_mode, own.mimic_scale_min, own.sched_val, at)
        scale = scheduled(guided.scale, own.cfg_mode, own.cfg_scale_min, own.sched_val, at)
        strong = guided.guided(scale)
        return torch.lerp(strong, thresholded(strong, guided.guided(mimic), own), own.interpolate_phi)


def _hooks_of(arguments: DynamicThresholdingArguments, context: PassContext) -> Sequence[PassHook]:
    """None where nothing is mixed in and the scale stays."""
    neutral = arguments.interpolate_phi == 0 and arguments.cfg_mode == "Constant"
    return () if neutral else (DynamicThresholding(arguments),)


dynamic_thresholding = each_pass(DynamicThresholdingArguments, _hooks_of)
