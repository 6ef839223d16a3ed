"""Scripts that make pictures of several prompts."""

from __future__ import annotations

from typing import Final

from modules.parameters.scripts.declaration import Argument, Script
from modules.parameters.scripts.frames import SEQUENCE

INTERPOLATE_PROMPTS: Final = Script(
    "Interpolate prompts",
    arguments=(
        Argument(
            "note",
            "",
            "<p>From the prompt above to the second one, with the same seed: each frame is guided by both, joined with "
            "AND, the one fading out as the other fades in. A frame's parameters alone make it again.</p>",
            "note",
        ),
        Argument("second_prompt", "Second prompt", "", "textbox", lines=3),
        *SEQUENCE,
    ),
)
PROMPT_MATRIX: Final = Script(
    "Prompt matrix",
    arguments=(
        Argument("put_at_start", "Put variable parts at start of prompt", False, "checkbox"),
        Argument("different_seeds", "Use different seed for each picture", False, "checkbox"),
        Argument("prompt_type", "Select prompt", "positive", "radio", choices=("positive", "negative")),
        Argument("variations_delimiter", "Select joining char", "comma", "radio", choices=("comma", "space")),
        Argument("margin_size", "Grid margins (px)", 0, minimum=0, maximum=500, step=2),
    ),
)
PROMPTS_FROM_FILE: Final = Script(
    "Prompts from file or textbox",
    arguments=(
        Argument("iterate_seed", "Iterate seed every line", False, "checkbox"),
        Argument("same_seed", "Use same random seed for all lines", False, "checkbox"),
        Argument("prompt_position", "Insert prompts at the", "start", "radio", choices=("start", "end")),
        Argument("prompts", "List of prompt inputs", "", "textbox", lines=4),
    ),
)
