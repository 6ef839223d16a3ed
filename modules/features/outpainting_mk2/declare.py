"""Outpainting mk2's place among the scripts."""

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
from modules.settings.choices import IMG2IMG

OUTPAINTING_MK2: Final = Script(
    "Outpainting mk2",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>Recommended settings: Sampling Steps: 80-100, Sampler: Euler a, Denoising strength: 0.8</p>",
            "note",
        ),
        pixels_argument(),
        mask_blur_argument(8),
        direction_argument(),
        Argument("noise_q", "Fall-off exponent (lower=higher detail)", 1.0, minimum=0, maximum=4, step=0.01),
        Argument("color_variation", "Color variation", 0.05, minimum=0, maximum=1, step=0.01),
    ),
    file="outpainting_mk_2.py",
)


@dataclass(frozen=True, slots=True)
class OutpaintingMk2Arguments(OutpaintingArguments):
    """`noise_q` is the exponent by which the noise falls off, `color_variation` how colourful it is."""

    script: ClassVar[Script] = OUTPAINTING_MK2
    noise_q: float
    color_variation: float
