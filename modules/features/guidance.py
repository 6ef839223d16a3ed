"""Guidance and its friends: small features that change how a step is guided, in the order in which they act."""

from __future__ import annotations

from typing import Final

from modules.features.adaptive_projected_guidance.declare import ADAPTIVE_PROJECTED_GUIDANCE
from modules.features.cads.declare import CADS
from modules.features.cfg_rescale.declare import CFG_RESCALE
from modules.features.cfg_zero_star.declare import CFG_ZERO_STAR
from modules.features.deep_shrink.declare import DEEP_SHRINK
from modules.features.dynamic_thresholding.declare import DYNAMIC_THRESHOLDING
from modules.features.epsilon_scaling.declare import EPSILON_SCALING
from modules.features.freeu.declare import FREEU
from modules.features.guidance_interval.declare import GUIDANCE_INTERVAL
from modules.features.hypertile.declare import HYPERTILE
from modules.features.mahiro.declare import MAHIRO
from modules.features.negpip.declare import NEGPIP
from modules.features.normalized_attention.declare import NORMALIZED_ATTENTION
from modules.features.perp_neg.declare import PERP_NEG
from modules.features.perturbed_attention.declare import PERTURBED_ATTENTION
from modules.features.self_attention_guidance.declare import SELF_ATTENTION_GUIDANCE
from modules.features.smoothed_energy.declare import SMOOTHED_ENERGY

GUIDANCE: Final = (
    GUIDANCE_INTERVAL,
    FREEU,
    DEEP_SHRINK,
    HYPERTILE,
    CADS,
    NEGPIP,
    NORMALIZED_ATTENTION,
    CFG_ZERO_STAR,
    PERP_NEG,
    DYNAMIC_THRESHOLDING,
    ADAPTIVE_PROJECTED_GUIDANCE,
    MAHIRO,
    SELF_ATTENTION_GUIDANCE,
    PERTURBED_ATTENTION,
    SMOOTHED_ENERGY,
    CFG_RESCALE,
    EPSILON_SCALING,
)
