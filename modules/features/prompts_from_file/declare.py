"""The place of prompts from a file or textbox among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

PROMPTS_FROM_FILE: Final = Script(
    "Prompts from file or textbox",
    arguments=(
        Argument("iterate_seed", "Iterate seed every line", False, "checkbox"),
        Argument("same_seed", "Use same random seed for all lines", False, "checkbox"),
        Argument("prompt_position", "Insert prompts at the", "start", "radio", choices=("start", "end")),
        Argument("prompts", "List of prompt inputs", "", "textbox", lines=4),
    ),
    file="prompts_from_file.py",
)


@dataclass(frozen=True, slots=True)
class PromptsFromFileArguments(ScriptArguments):
    """The lines, their seeds, and on which side of the form's prompt they stand."""

    script: ClassVar[Script] = PROMPTS_FROM_FILE
    iterate_seed: bool
    same_seed: bool
    prompt_position: str
    prompts: str
