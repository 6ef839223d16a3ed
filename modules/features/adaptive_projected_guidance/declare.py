"""The controls of Adaptive projected guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

ADAPTIVE_PROJECTED_GUIDANCE: Final = Script(
    "Adaptive projected guidance",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox"),
        Argument("eta", "Eta", 0, minimum=-1, maximum=2, step=0.05, infotext="APG eta"),
        Argument(
            "norm_threshold",
            "Norm threshold",
            15,
            minimum=0,
            maximum=50,
            step=0.5,
            most=1000,
            infotext="APG norm threshold",
        ),
        Argument("momentum", "Momentum", -0.5, minimum=-1, maximum=1, step=0.05, infotext="APG momentum"),
    ),
    always_on=True,
    file="adaptive_projected_guidance.py",
    aliases=("APG",),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class AdaptiveProjectedGuidanceArguments(ScriptArguments):
    """How much of the parallel part stays, the longest difference (0: any), and what of earlier ones is added."""

    script: ClassVar[Script] = ADAPTIVE_PROJECTED_GUIDANCE
    eta: float
    norm_threshold: float
    momentum: float
