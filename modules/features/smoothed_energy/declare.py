"""The controls of Smoothed-energy guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

SMOOTHED_ENERGY: Final = Script(
    "Smoothed-energy guidance",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="SEG Active"),
        Argument(
            "blur_sigma", "Blur sigma", 11, minimum=0, maximum=100, step=0.5, most=99999, infotext="SEG Blur Sigma"
        ),
        Argument("scale", "Scale", 3, minimum=0, maximum=30, step=0.1, infotext="SEG Scale"),
        Argument("start", "Start", 0, minimum=0, maximum=1, step=0.01, infotext="SEG Start"),
        Argument("end", "End", 1, minimum=0, maximum=1, step=0.01, infotext="SEG End"),
    ),
    always_on=True,
    file="smoothed_energy.py",
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class SmoothedEnergyArguments(ScriptArguments):
    """How much queries are blurred, how far from that answer, and when."""

    script: ClassVar[Script] = SMOOTHED_ENERGY
    blur_sigma: float
    scale: float
    start: float
    end: float
