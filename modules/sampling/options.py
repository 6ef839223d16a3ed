"""The few numbers that a sampler function itself reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """The few numbers that a sampler function itself reads.

    `eta` scales the noise of ancestral steps; the `s_` values are Karras et al.'s stochasticity parameters.
    `calls` is the budget of model calls of DPM fast.
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
