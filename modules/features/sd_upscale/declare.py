"""SD upscale's place among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.settings.choices import IMG2IMG

SD_UPSCALE: Final = Script(
    "SD upscale",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>Will upscale the image by the selected scale factor; use width and height sliders to set tile size</p>",
            "note",
        ),
        Argument(
            "overlap", "Tile overlap", 64, minimum=0, maximum=256, step=16, most=1024, infotext="SD upscale overlap"
        ),
        Argument("upscaler", "Upscaler", "None", "radio", listed="upscalers", infotext="SD upscale upscaler"),
        Argument("scale_factor", "Scale Factor", 2.0, minimum=1, maximum=4, step=0.05, most=16),
    ),
    file="sd_upscale.py",
)


@dataclass(frozen=True, slots=True)
class SdUpscaleArguments(ScriptArguments):
    """By how many pixels tiles overlap, and which upscaler enlarges the picture how many times."""

    script: ClassVar[Script] = SD_UPSCALE
    overlap: int
    upscaler: str
    scale_factor: float
