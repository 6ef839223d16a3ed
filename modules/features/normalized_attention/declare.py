"""The controls of Normalized attention guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

NORMALIZED_ATTENTION: Final = Script(
    "Normalized attention guidance",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="NAG Active"),
        Argument("scale", "Scale", 5, minimum=1, maximum=20, step=0.1, most=100, infotext="NAG Scale"),
        Argument("tau", "Tau", 1.5, minimum=1, maximum=10, step=0.1, most=100, infotext="NAG Tau"),
        Argument("alpha", "Alpha", 0.5, minimum=0, maximum=1, step=0.01, infotext="NAG Alpha"),
    ),
    always_on=True,
    file="normalized_attention.py",
    aliases=("NAG", "NormalizedAttentionGuidance", "Normalized Attention Guidance Integrated"),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class NormalizedAttentionArguments(ScriptArguments):
    """How far away from the negative prompt, how much longer the result may be, and how much of it is mixed in."""

    script: ClassVar[Script] = NORMALIZED_ATTENTION
    scale: float
    tau: float
    alpha: float
