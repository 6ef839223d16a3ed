"""What the second implementation of requests works with: how a prompt is read, samplers, the settings of a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Runs = list[tuple[str, float]]
"""(text, weight) runs; ("BREAK", -1) ends a chunk."""
Texts = list[tuple[int, Runs]]
"""(last model call, counted from 0, that uses it; the text)."""


@dataclass(frozen=True)
class Reading:
    """How a prompt is to be read: its AND parts with their weights, each a schedule, and the negative prompt's."""

    parts: list[tuple[float, Texts]]
    negative: Texts


@dataclass(frozen=True)
class Kind:
    """What is known of a sampler: k-diffusion's function, its default schedule, whether a step calls twice."""

    function: str
    schedule: str | None = None
    twice: bool = False
    brownian: bool = False
    drops_last_but_one: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    churn: tuple[str, ...] = ()


CHURN = ("s_churn", "s_tmin", "s_tmax", "s_noise")

KINDS = {
    "DPM++ 2M": Kind("dpmpp_2m", "Karras"),
    "DPM++ SDE": Kind("dpmpp_sde", "Karras", twice=True, brownian=True, churn=("s_noise",)),
    "DPM++ 2M SDE": Kind("dpmpp_2m_sde", "Exponential", brownian=True, churn=("s_noise",)),
    "DPM++ 2M SDE Heun": Kind(
        "dpmpp_2m_sde", "Exponential", brownian=True, extra={"solver_type": "heun"}, churn=("s_noise",)
    ),
    "DPM++ 2S a": Kind("dpmpp_2s_ancestral", "Karras", twice=True, churn=("s_noise",)),
    "DPM++ 3M SDE": Kind("dpmpp_3m_sde", "Exponential", brownian=True, drops_last_but_one=True, churn=("s_noise",)),
    "Euler a": Kind("euler_ancestral"),
    "Euler": Kind("euler", churn=CHURN),
    "LMS": Kind("lms"),
    "Heun": Kind("heun", twice=True, churn=CHURN),
    "DPM2": Kind("dpm_2", "Karras", twice=True, drops_last_but_one=True, churn=CHURN),
    "DPM2 a": Kind("dpm_2_ancestral", "Karras", twice=True, drops_last_but_one=True, churn=("s_noise",)),
    "DPM fast": Kind("dpm_fast", churn=("s_noise",)),
    "DPM adaptive": Kind("dpm_adaptive"),
    "Restart": Kind("restart", "Karras", twice=True),
    "DDIM": Kind("ddim"),
    "DDIM CFG++": Kind("ddim_cfgpp"),
    "PLMS": Kind("plms"),
}
STEPPED = ("DDIM", "DDIM CFG++", "PLMS")


def calls_of(sampler: str, steps: int) -> int:
    return steps * 2 if KINDS[sampler].twice else steps


@dataclass(frozen=True)
class PassSettings:
    """The settings of one pass. `settings` are A1111's; `keep` is a latent and where (1) it stays; `refines_at` is the
    share of the model's timesteps, or of the pass's calls, at which the refiner takes over.
    """

    sampler: str
    schedule: str
    steps: int
    cfg: float
    settings: Mapping[str, Any]
    keep: tuple[Tensor, Tensor] | None = None
    refines_at: float | None = None

    def setting(self, key: str, default: Any) -> Any:
        return self.settings.get(key, default)
