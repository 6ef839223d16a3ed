"""The controls of Epsilon scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

EPSILON_SCALING: Final = Script(
    "Epsilon scaling",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox"),
        Argument("factor", "Factor", 1.005, minimum=0.95, maximum=1.05, step=0.001, infotext="Epsilon Scaling"),
    ),
    always_on=True,
    file="epsilon_scaling.py",
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class EpsilonScalingArguments(ScriptArguments):
    """What the noise is divided by."""

    script: ClassVar[Script] = EPSILON_SCALING
    factor: float
