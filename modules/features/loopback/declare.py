"""Loopback's place among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.settings.choices import IMG2IMG

LOOPBACK: Final = Script(
    "Loopback",
    IMG2IMG,
    (
        Argument("loops", "Loops", 4, minimum=1, maximum=32, step=1, most=1000),
        Argument(
            "final_denoising_strength",
            "Final denoising strength",
            0.5,
            minimum=0,
            maximum=1,
            step=0.01,
            infotext="Final denoising strength",
        ),
        Argument(
            "denoising_curve",
            "Denoising strength curve",
            "Linear",
            "dropdown",
            choices=("Aggressive", "Linear", "Lazy"),
            infotext="Denoising curve",
        ),
        Argument(
            "append_interrogation",
            "Append interrogated prompt at each iteration",
            "None",
            "dropdown",
            choices=("None",),
        ),
    ),
    file="loopback.py",
)


@dataclass(frozen=True, slots=True)
class LoopbackArguments(ScriptArguments):
    """How many pictures hang together, and along which curve the denoising strength goes to its final value."""

    script: ClassVar[Script] = LOOPBACK
    loops: int
    final_denoising_strength: float
    denoising_curve: str
