"""The controls of CADS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

CADS: Final = Script(
    "CADS",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="CADS Active"),
        Argument("tau_1", "Tau 1", 0.6, minimum=0, maximum=1, step=0.01, infotext="CADS Tau 1"),
        Argument("tau_2", "Tau 2", 0.9, minimum=0, maximum=1, step=0.01, infotext="CADS Tau 2"),
        Argument(
            "noise_scale", "Noise scale", 0.25, minimum=0, maximum=1, step=0.01, most=10, infotext="CADS Noise Scale"
        ),
        Argument("mixing_factor", "Mixing factor", 1, minimum=0, maximum=1, step=0.01, infotext="CADS Mixing Factor"),
        Argument("rescale", "Rescale", True, "checkbox", infotext="CADS Rescale"),
        Argument(
            "hires",
            "Apply to hires. fix",
            False,
            "checkbox",
            infotext="CADS Apply To Hires. Fix",
            # What is left of that key where infotext is read: keys have no full stop.
            other_keys=(("Fix", 1.0),),
        ),
    ),
    always_on=True,
    file="cads.py",
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class CadsArguments(ScriptArguments):
    """When texts are only noise, when only texts (shares of the run that is left), and how the noise is mixed in."""

    script: ClassVar[Script] = CADS
    tau_1: float
    tau_2: float
    noise_scale: float
    mixing_factor: float
    rescale: bool
    hires: bool
