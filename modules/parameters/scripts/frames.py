"""What scripts that make a sequence have in common: its length, its pace, and the animation of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modules.parameters.scripts.declaration import Argument

EVEN: Final = "Even"
GENTLE: Final = "Slow at the ends"

SEQUENCE: Final = (
    Argument("frames", "Frames", 8, minimum=2, maximum=120, step=1, most=1000),
    Argument("pace", "Pace", EVEN, "radio", choices=(EVEN, GENTLE)),
    Argument("frames_per_second", "Frames per second of the animation", 8, minimum=1, maximum=60, step=1),
    Argument("and_back", "Play the animation forwards and back again", False, "checkbox"),
)


def shares(arguments: Mapping[str, Any]) -> list[float]:
    """How far each frame is from the first, 0, to the last, 1."""
    frames = int(arguments["frames"])
    even = [frame / (frames - 1) for frame in range(frames)]
    return even if arguments["pace"] == EVEN else [share * share * (3 - 2 * share) for share in even]
