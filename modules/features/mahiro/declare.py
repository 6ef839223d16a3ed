"""The controls of Mahiro CFG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

MAHIRO: Final = Script(
    "Mahiro CFG",
    arguments=(Argument("enabled", "Enable", False, "checkbox", infotext="MaHiRo"),),
    always_on=True,
    file="mahiro.py",
    aliases=(
        "Mahiro",
        "MaHiRo",
    ),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class MahiroArguments(ScriptArguments):
    """Whether it acts."""

    script: ClassVar[Script] = MAHIRO
    enabled: bool
