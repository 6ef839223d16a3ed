"""What scripts that make a sequence have in common: its length, its pace, and the animation of it."""

from __future__ import annotations

from typing import Final

from modules.parameters.scripts.declaration import Argument

EVEN: Final = "Even"
GENTLE: Final = "Slow at the ends"

SEQUENCE: Final = (
    Argument("frames", "Frames", 8, minimum=2, maximum=120, step=1, most=1000),
    Argument("pace", "Pace", EVEN, "radio", choices=(EVEN, GENTLE)),
    Argument("frames_per_second", "Frames per second of the animation", 8, minimum=1, maximum=60, step=1),
    Argument("and_back", "Play the animation forwards and back again", False, "checkbox"),
)
