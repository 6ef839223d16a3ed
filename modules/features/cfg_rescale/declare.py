"""The controls of CFG rescale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

CFG_RESCALE: Final = Script(
    "CFG rescale",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox"),
        Argument("phi", "CFG Rescale phi", 0.7, minimum=0, maximum=1, step=0.05, infotext="CFG Rescale phi"),
    ),
    always_on=True,
    file="cfg_rescale.py",
    aliases=("CFG Rescale Extension",),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class CfgRescaleArguments(ScriptArguments):
    """`phi` is how much of the rescaled estimate is mixed in, 0 to 1."""

    script: ClassVar[Script] = CFG_RESCALE
    phi: float
