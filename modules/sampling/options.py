"""What of A1111's options changes a sampling run: read once from the options mapping, then passed as a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from modules.sampling.noise import NoiseSource


class SamplerOptionError(ValueError):
    """An option that samplers read holds a value they cannot use."""


@dataclass(frozen=True, slots=True)
class SamplerOptions:
    """A1111's sampler options under their own keys, with their defaults.

    `s_tmax` 0 means no upper bound; `sigma_min`, `sigma_max` and `rho` 0 mean the model's or the schedule's own.
    """

    eta_ancestral: float = 1.0
    eta_ddim: float = 0.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = 0.0
    s_noise: float = 1.0
    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    beta_dist_alpha: float = 0.6
    beta_dist_beta: float = 0.6
    always_discard_next_to_last_sigma: bool = False
    use_old_karras_scheduler_sigmas: bool = False
    sgm_noise_multiplier: bool = False
    enable_quantization: bool = False
    uni_pc_variant: str = "bh1"
    uni_pc_skip_type: str = "time_uniform"
    uni_pc_order: int = 3
    uni_pc_lower_order_final: bool = True
    sd_noise_schedule: str = "Default"
    use_downcasted_alpha_bar: bool = False
    skip_early_cond: float = 0.0
    s_min_uncond: float = 0.0
    s_min_uncond_all: bool = False
    pad_cond_uncond: bool = False
    pad_cond_uncond_v0: bool = False
    batch_cond_uncond: bool = True
    no_dpmpp_sde_batch_determinism: bool = False
    eta_noise_seed_delta: int = 0
    randn_source: NoiseSource = "GPU"
    img2img_fix_steps: bool = False
    img2img_extra_noise: float = 0.0

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Self:
        """Take the keys that matter here from a full options mapping; absent ones keep their defaults.

        Raises SamplerOptionError naming the key whose value has the wrong kind.
        """
        defaults = cls()
        known: dict[str, Any] = {
            field.name: _coerce(field.name, options[field.name], getattr(defaults, field.name))
            for field in fields(cls)
            if options.get(field.name) is not None
        }
        return replace(defaults, **known)

    @property
    def zero_terminal_snr(self) -> bool:
        return self.sd_noise_schedule == "Zero Terminal SNR"


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """The few numbers that a sampler function itself reads.

    `eta` scales the noise of ancestral steps; the `s_` values are Karras et al.'s stochasticity parameters.
    `calls` is the budget of model calls of DPM fast. `start` is the noise level (timestep) that img2img entered at.
    """

    eta: float = 1.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0
    solver_type: Literal["midpoint", "heun"] = "midpoint"
    calls: int = 0
    is_img2img: bool = False
    uni_pc_variant: str = "bh1"
    uni_pc_skip_type: str = "time_uniform"
    uni_pc_order: int = 3
    uni_pc_lower_order_final: bool = True


def _coerce(key: str, value: object, default: object) -> object:
    """`value` as the kind of `default`; numbers may come as text from infotext and old config files."""
    if isinstance(default, str):
        return str(value)
    if isinstance(default, bool):
        return value.strip().lower() == "true" if isinstance(value, str) else bool(value)
    try:
        number = float(str(value))
        return int(number) if isinstance(default, int) else number
    except ValueError as error:
        raise SamplerOptionError(f"The option {key} must be a number, not {value!r}.") from error
