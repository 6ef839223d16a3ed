"""The controls of Kohya HRFix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

METHODS: Final = ("bicubic", "nearest-exact", "bilinear", "area")
DEEP_SHRINK: Final = Script(
    "Kohya HRFix",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="kohya_hrfix_enabled"),
        Argument("block_number", "Block number", 3, minimum=1, maximum=32, step=1, infotext="kohya_hrfix_block_number"),
        Argument(
            "downscale_factor",
            "Downscale factor",
            2,
            minimum=1,
            maximum=9,
            step=0.001,
            infotext="kohya_hrfix_downscale_factor",
        ),
        Argument("start_percent", "Start", 0, minimum=0, maximum=1, step=0.01, infotext="kohya_hrfix_start_percent"),
        Argument("end_percent", "End", 0.35, minimum=0, maximum=1, step=0.01, infotext="kohya_hrfix_end_percent"),
        Argument(
            "downscale_after_skip",
            "Downscale after skip",
            True,
            "checkbox",
            infotext="kohya_hrfix_downscale_after_skip",
        ),
        Argument(
            "downscale_method",
            "Downscale method",
            "bicubic",
            "radio",
            choices=METHODS,
            infotext="kohya_hrfix_downscale_method",
        ),
        Argument(
            "upscale_method",
            "Upscale method",
            "bicubic",
            "radio",
            choices=METHODS,
            infotext="kohya_hrfix_upscale_method",
        ),
    ),
    always_on=True,
    file="deep_shrink.py",
    aliases=(
        "Kohya HRFix Integrated",
        "Kohya HRFix Integrated (SD 1.x, SD 2.x, SDXL)",
    ),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class DeepShrinkArguments(ScriptArguments):
    """Behind which input block, by how much, when, and how sizes are changed."""

    script: ClassVar[Script] = DEEP_SHRINK
    block_number: int
    downscale_factor: float
    start_percent: float
    end_percent: float
    downscale_after_skip: bool
    downscale_method: str
    upscale_method: str
