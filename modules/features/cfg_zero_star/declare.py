"""The controls of CFG-Zero*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

CFG_ZERO_STAR: Final = Script(
    "CFG-Zero star",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="CFG-Zero star"),
        Argument(
            "zero_init_steps",
            "Zero init steps (flow matching)",
            1,
            minimum=0,
            maximum=10,
            step=1,
            infotext="CFG-Zero star zero init steps",
        ),
    ),
    always_on=True,
    file="cfg_zero_star.py",
    aliases=("CFG-Zero*", "CFGZeroStar", "CFG Zero Star"),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class CfgZeroStarArguments(ScriptArguments):
    """Whether it acts, and in how many of the first calls a model of flow matching answers nothing."""

    script: ClassVar[Script] = CFG_ZERO_STAR
    enabled: bool
    zero_init_steps: int
