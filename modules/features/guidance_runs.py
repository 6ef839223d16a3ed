"""How the features of guidance run, in the order in which they act.

First what changes the UNet and what it is shown, then what guides by the answers, then what is added to that, and last
what brings the whole into bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from modules.features.adaptive_projected_guidance.run import adaptive_projected_guidance
from modules.features.cads.run import cads
from modules.features.cfg_rescale.run import cfg_rescale
from modules.features.cfg_zero_star.run import cfg_zero_star
from modules.features.deep_shrink.run import deep_shrink
from modules.features.dynamic_thresholding.run import dynamic_thresholding
from modules.features.epsilon_scaling.run import epsilon_scaling
from modules.features.freeu.run import freeu
from modules.features.guidance import GUIDANCE
from modules.features.guidance_interval.run import guidance_interval
from modules.features.hypertile.run import hypertile
from modules.features.mahiro.run import mahiro
from modules.features.negpip.run import negpip
from modules.features.normalized_attention.run import normalized_attention
from modules.features.perp_neg.run import perp_neg
from modules.features.perturbed_attention.run import perturbed_attention
from modules.features.running import FeatureJob
from modules.features.self_attention_guidance.run import self_attention_guidance
from modules.features.smoothed_energy.run import smoothed_energy
from modules.generation.pipeline import JobFeature

_RUNS: Final = (
    guidance_interval,
    freeu,
    deep_shrink,
    hypertile,
    cads,
    negpip,
    normalized_attention,
    cfg_zero_star,
    perp_neg,
    dynamic_thresholding,
    adaptive_projected_guidance,
    mahiro,
    self_attention_guidance,
    perturbed_attention,
    smoothed_energy,
    cfg_rescale,
    epsilon_scaling,
)
GUIDANCE_RUNS: Final[Mapping[str, Callable[[FeatureJob], JobFeature]]] = {
    script.title: run for script, run in zip(GUIDANCE, _RUNS, strict=True)
}
