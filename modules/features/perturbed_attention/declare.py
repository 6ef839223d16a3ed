"""The controls of Perturbed-attention guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

PERTURBED_ATTENTION: Final = Script(
    "Perturbed-attention guidance",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="pagi_enabled", other_keys=(("PAG Active", 1.0),)),
        Argument(
            "scale",
            "Scale",
            3,
            minimum=0,
            maximum=30,
            step=0.1,
            most=100,
            infotext="pagi_scale",
            other_keys=(("PAG Scale", 1.0),),
        ),
        Argument("attenuation", "Attenuation (%)", 0, minimum=0, maximum=100, step=0.1, infotext="pagi_attenuation"),
        Argument("start", "Start", 0, minimum=0, maximum=1, step=0.01, infotext="pagi_start_step"),
        Argument("end", "End", 1, minimum=0, maximum=1, step=0.01, infotext="pagi_end_step"),
    ),
    always_on=True,
    file="perturbed_attention.py",
    aliases=(
        "PerturbedAttentionGuidance Integrated",
        "PerturbedAttentionGuidance Integrated (SD 1.x, SD 2.x, SDXL)",
    ),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class PerturbedAttentionArguments(ScriptArguments):
    """How far from the perturbed answer, by how many per cent less at the end of the run, and when."""

    script: ClassVar[Script] = PERTURBED_ATTENTION
    scale: float
    attenuation: float
    start: float
    end: float
