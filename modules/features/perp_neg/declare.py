"""The controls of Perp-Neg."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

PERP_NEG: Final = Script(
    "Perp-Neg",
    arguments=(Argument("enabled", "Enable", False, "checkbox", infotext="Perp-Neg Active"),),
    always_on=True,
    file="perp_neg.py",
    aliases=("PerpNeg", "Perpendicular Negative"),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class PerpNegArguments(ScriptArguments):
    """Whether it acts."""

    script: ClassVar[Script] = PERP_NEG
    enabled: bool
