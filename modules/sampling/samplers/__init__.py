"""One function per sampler; `SAMPLER_FUNCTIONS` finds them by the labels of the sampler table."""

from __future__ import annotations

from typing import Final

from modules.sampling.samplers.dpmpp import dpmpp_2m, dpmpp_2s_ancestral
from modules.sampling.samplers.euler import euler, euler_ancestral
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, SamplerFunction, Step

SAMPLER_FUNCTIONS: Final[dict[str, SamplerFunction]] = {
    "DPM++ 2M": dpmpp_2m,
    "DPM++ 2S a": dpmpp_2s_ancestral,
    "Euler a": euler_ancestral,
    "Euler": euler,
}

# These walk from one noise level to another on their own: their `levels` are just the two ends.
RANGE_SAMPLERS: Final = frozenset({"DPM fast", "DPM adaptive"})

__all__ = ["RANGE_SAMPLERS", "SAMPLER_FUNCTIONS", "Denoiser", "Noise", "OnStep", "SamplerFunction", "Step"]
