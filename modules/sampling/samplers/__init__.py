"""One function per sampler; `SAMPLER_FUNCTIONS` finds them by the labels of the sampler table."""

from __future__ import annotations

from typing import Final

from modules.sampling.samplers.ddim import ddim, ddim_cfgpp, plms
from modules.sampling.samplers.dpm2 import dpm2, dpm2_ancestral
from modules.sampling.samplers.dpm_solver import dpm_adaptive, dpm_fast
from modules.sampling.samplers.dpmpp import dpmpp_2m, dpmpp_2s_ancestral
from modules.sampling.samplers.dpmpp_sde import dpmpp_2m_sde, dpmpp_3m_sde, dpmpp_sde
from modules.sampling.samplers.euler import ddpm, euler, euler_ancestral
from modules.sampling.samplers.flow import (
    flow_dpm2_ancestral,
    flow_dpmpp_2s_ancestral,
    flow_euler_ancestral,
    flow_lcm,
    with_added_noise,
)
from modules.sampling.samplers.heun import heun, heunpp2
from modules.sampling.samplers.lcm import lcm
from modules.sampling.samplers.multistep import deis, ipndm, ipndm_v, lms
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, SamplerFunction, Step
from modules.sampling.samplers.restart import restart
from modules.sampling.samplers.tcd import tcd
from modules.sampling.samplers.unipc import unipc

SAMPLER_FUNCTIONS: Final[dict[str, SamplerFunction]] = {
    "DPM++ 2M": dpmpp_2m,
    "DPM++ SDE": dpmpp_sde,
    "DPM++ 2M SDE": dpmpp_2m_sde,
    "DPM++ 2M SDE Heun": dpmpp_2m_sde,
    "DPM++ 2S a": dpmpp_2s_ancestral,
    "DPM++ 3M SDE": dpmpp_3m_sde,
    "Euler a": euler_ancestral,
    "Euler": euler,
    "LMS": lms,
    "Heun": heun,
    "DPM2": dpm2,
    "DPM2 a": dpm2_ancestral,
    "DPM fast": dpm_fast,
    "DPM adaptive": dpm_adaptive,
    "Restart": restart,
    "DDIM": ddim,
    "DDIM CFG++": ddim_cfgpp,
    "PLMS": plms,
    "UniPC": unipc,
    "LCM": lcm,
    "HeunPP2": heunpp2,
    "IPNDM": ipndm,
    "IPNDM_V": ipndm_v,
    "DEIS": deis,
    "DDPM": ddpm,
    "TCD": tcd,
}

# For models trained by flow matching, whose levels are shares of noise. Those that only follow the direction of the
# model's answers are the same; the others put noise on by the flow's rule, or work in the levels where noise is added.
# Samplers that are not here go by timesteps, or by noise levels that such models lack.
FLOW_SAMPLER_FUNCTIONS: Final[dict[str, SamplerFunction]] = {
    **{label: SAMPLER_FUNCTIONS[label] for label in (
        "DPM++ 2M", "Euler", "LMS", "Heun", "DPM2", "HeunPP2", "IPNDM", "IPNDM_V", "DEIS",
    )},
    **{label: with_added_noise(SAMPLER_FUNCTIONS[label]) for label in (
        "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE", "DDPM",
    )},
    "Euler a": flow_euler_ancestral,
    "DPM2 a": flow_dpm2_ancestral,
    "DPM++ 2S a": flow_dpmpp_2s_ancestral,
    "LCM": flow_lcm,
}  # fmt: skip

# These walk from one noise level to another on their own: their `levels` are just the two ends.
RANGE_SAMPLERS: Final = frozenset({"DPM fast", "DPM adaptive"})

# Their step sizes follow from the picture, so each image of a batch runs on its own to stay what it is alone.
STEP_CONTROLLED_SAMPLERS: Final = frozenset({"DPM adaptive"})

__all__ = [
    "FLOW_SAMPLER_FUNCTIONS",
    "RANGE_SAMPLERS",
    "SAMPLER_FUNCTIONS",
    "STEP_CONTROLLED_SAMPLERS",
    "Denoiser",
    "Noise",
    "OnStep",
    "SamplerFunction",
    "Step",
]
