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
    file="interpolate_prompts.py",
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
    file="prompt_matrix.py",
)
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


def _axis(name: str, default: str) -> tuple[Argument, Argument, Argument]:
    big = name.upper()
    return (
        Argument(
            f"{name}_type", f"{big} type", default, "dropdown", listed="axes", infotext=f"{big} Type", of_grid=True
        ),
        Argument(f"{name}_values", f"{big} values", "", "textbox", infotext=f"{big} Values", of_grid=True),
        Argument(f"{name}_values_dropdown", f"{big} values", [], "words"),
    )


XYZ_PLOT: Final = Script(
    "X/Y/Z plot",
    arguments=(
        *_axis("x", "Seed"),
        *_axis("y", "Nothing"),
        *_axis("z", "Nothing"),
        Argument("draw_legend", "Draw legend", True, "checkbox"),
        Argument("include_lone_images", "Include Sub Images", False, "checkbox"),
        Argument("include_sub_grids", "Include Sub Grids", False, "checkbox"),
        Argument("no_fixed_seeds", "Keep -1 for seeds", False, "checkbox"),
        Argument("vary_seeds_x", "Vary seeds for X", False, "checkbox"),
        Argument("vary_seeds_y", "Vary seeds for Y", False, "checkbox"),
        Argument("vary_seeds_z", "Vary seeds for Z", False, "checkbox"),
        Argument("margin_size", "Grid margins (px)", 0, minimum=0, maximum=500, step=2),
        Argument("csv_mode", "Use text inputs instead of dropdowns", False, "checkbox"),
    ),
    file="xyz_grid.py",
)
