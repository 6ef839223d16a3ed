"""Poor man's outpainting's place among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.declaration import Argument, Script
from modules.features.outpaint.declare import (
    OutpaintingArguments,
    direction_argument,
    mask_blur_argument,
    pixels_argument,
)
from modules.settings.choices import IMG2IMG, MASKED_CONTENTS

POOR_MANS_OUTPAINTING: Final = Script(
    "Poor man's outpainting",
    IMG2IMG,
    (
        pixels_argument(),
        mask_blur_argument(4),
        Argument("inpainting_fill", "Masked content", "fill", "radio", choices=MASKED_CONTENTS),
        direction_argument(),
    ),
    file="poor_mans_outpainting.py",
)


@dataclass(frozen=True, slots=True)
class PoorMansOutpaintingArguments(OutpaintingArguments):
    """`inpainting_fill` is a masked content by its word."""

    script: ClassVar[Script] = POOR_MANS_OUTPAINTING
    inpainting_fill: str
