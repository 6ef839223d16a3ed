"""Soft inpainting's place among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.settings.choices import IMG2IMG

SOFT_INPAINTING: Final = Script(
    "Soft Inpainting",
    IMG2IMG,
    (
        Argument("enabled", "Soft inpainting", False, "checkbox", infotext="Soft inpainting enabled"),
        Argument(
            "schedule_bias",
            "Schedule bias",
            1,
            minimum=0,
            maximum=8,
            step=0.1,
            infotext="Soft inpainting schedule bias",
        ),
        Argument(
            "preservation_strength",
            "Preservation strength",
            0.5,
            minimum=0,
            maximum=8,
            step=0.05,
            infotext="Soft inpainting preservation strength",
        ),
        Argument(
            "transition_contrast_boost",
            "Transition contrast boost",
            4,
            minimum=1,
            maximum=32,
            step=0.5,
            infotext="Soft inpainting transition contrast boost",
        ),
        Argument(
            "mask_influence",
            "Mask influence",
            0,
            minimum=0,
            maximum=1,
            step=0.05,
            infotext="Soft inpainting mask influence",
        ),
        Argument(
            "difference_threshold",
            "Difference threshold",
            0.5,
            minimum=0,
            maximum=8,
            step=0.25,
            infotext="Soft inpainting difference threshold",
        ),
        Argument(
            "difference_contrast",
            "Difference contrast",
            2,
            minimum=0,
            maximum=8,
            step=0.25,
            infotext="Soft inpainting difference contrast",
        ),
    ),
    always_on=True,
    needs_mask=True,
    file="soft_inpainting.py",
)


@dataclass(frozen=True, slots=True)
class SoftInpaintingArguments(ScriptArguments):
    """Three numbers for the steps, and three for what is laid over the result."""

    script: ClassVar[Script] = SOFT_INPAINTING
    schedule_bias: float
    preservation_strength: float
    transition_contrast_boost: float
    mask_influence: float
    difference_threshold: float
    difference_contrast: float
