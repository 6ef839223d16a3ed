"""Outpaint's place among the scripts, and the arguments that all outpainting scripts share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.settings.choices import IMG2IMG

_SIDES: Final = ("left", "right", "up", "down")


def pixels_argument() -> Argument:
    return Argument("pixels", "Pixels to expand", 128, minimum=8, maximum=256, step=8, most=2048)


def mask_blur_argument(default: int) -> Argument:
    return Argument("mask_blur", "Mask blur", default, minimum=0, maximum=64, step=1)


def direction_argument() -> Argument:
    return Argument("direction", "Outpainting direction", list(_SIDES), "checkboxes", choices=_SIDES)


OUTPAINT: Final = Script(
    "Outpaint",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>Width and Height are those of one pass: larger pictures are grown piece by piece, each as that large. "
            "A Denoising strength of 0.8 to 1 paints something new; with an inpainting checkpoint take 1.</p>",
            "note",
        ),
        pixels_argument(),
        Argument("overlap", "Overlap with the picture, pixels", 32, minimum=0, maximum=128, step=4, most=512),
        mask_blur_argument(8),
        direction_argument(),
    ),
    named=True,
    file="outpaint.py",
)


@dataclass(frozen=True, slots=True)
class OutpaintingArguments(ScriptArguments):
    """What all outpainting scripts share: by how many pixels and on which sides the picture grows, and the seam."""

    pixels: int
    mask_blur: int
    direction: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutpaintArguments(OutpaintingArguments):
    """`overlap` is how many pixels of the old picture are painted over."""

    script: ClassVar[Script] = OUTPAINT
    overlap: int
