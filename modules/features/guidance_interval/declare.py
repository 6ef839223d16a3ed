"""The controls of Guidance interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

GUIDANCE_INTERVAL: Final = Script(
    "Guidance interval",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox"),
        Argument("start", "From", 0, minimum=0, maximum=1, step=0.01, infotext="Guidance interval start"),
        Argument("end", "To", 1, minimum=0, maximum=1, step=0.01, infotext="Guidance interval end"),
    ),
    always_on=True,
    file="guidance_interval.py",
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class GuidanceIntervalArguments(ScriptArguments):
    """The steps that are guided, as shares of the run."""

    script: ClassVar[Script] = GUIDANCE_INTERVAL
    start: float
    end: float
