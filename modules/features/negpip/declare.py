"""The controls of NegPiP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

NEGPIP: Final = Script(
    "NegPiP",
    arguments=(Argument("enabled", "Enable", False, "checkbox", infotext="NegPiP Active"),),
    always_on=True,
    file="negpip.py",
    aliases=("Negative Prompt in Prompt", "sd-webui-negpip"),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class NegPipArguments(ScriptArguments):
    """Whether it acts."""

    script: ClassVar[Script] = NEGPIP
    enabled: bool
