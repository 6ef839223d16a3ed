"""The prompt matrix's place among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

PROMPT_MATRIX: Final = Script(
    "Prompt matrix",
    arguments=(
        Argument("put_at_start", "Put variable parts at start of prompt", False, "checkbox"),
        Argument("different_seeds", "Use different seed for each picture", False, "checkbox"),
        Argument("prompt_type", "Select prompt", "positive", "radio", choices=("positive", "negative")),
        Argument("variations_delimiter", "Select joining char", "comma", "radio", choices=("comma", "space")),
        Argument("margin_size", "Grid margins (px)", 0, minimum=0, maximum=500, step=2),
    ),
    file="prompt_matrix.py",
)


@dataclass(frozen=True, slots=True)
class PromptMatrixArguments(ScriptArguments):
    """Which prompt is taken apart, and how its parts are joined again. `margin_size` is in pixels."""

    script: ClassVar[Script] = PROMPT_MATRIX
    put_at_start: bool
    different_seeds: bool
    prompt_type: str
    variations_delimiter: str
    margin_size: int
