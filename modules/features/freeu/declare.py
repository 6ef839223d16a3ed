"""The controls of FreeU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

FREEU: Final = Script(
    "FreeU",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="freeu_enabled"),
        Argument("b1", "B1", 1.01, minimum=0, maximum=2, step=0.01, most=4, infotext="freeu_b1"),
        Argument("b2", "B2", 1.02, minimum=0, maximum=2, step=0.01, most=4, infotext="freeu_b2"),
        Argument("s1", "S1", 0.99, minimum=0, maximum=4, step=0.01, infotext="freeu_s1"),
        Argument("s2", "S2", 0.95, minimum=0, maximum=4, step=0.01, infotext="freeu_s2"),
        Argument("start", "Start", 0, minimum=0, maximum=1, step=0.01, infotext="freeu_start"),
        Argument("end", "End", 1, minimum=0, maximum=1, step=0.01, infotext="freeu_end"),
        Argument("version", "Version", "2", "radio", choices=("1", "2"), infotext="FreeU Version"),
    ),
    always_on=True,
    file="freeu.py",
    aliases=(
        "FreeU Integrated",
        "FreeU Integrated (SD 1.x, SD 2.x, SDXL)",
    ),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class FreeUArguments(ScriptArguments):
    """Two scales of backbone features, two of skips, when they act, and the formula of the paper (1) or code (2)."""

    script: ClassVar[Script] = FREEU
    b1: float
    b2: float
    s1: float
    s2: float
    start: float
    end: float
    version: str
