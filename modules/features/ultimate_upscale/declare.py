"""Ultimate SD upscale's place among the scripts: the arguments of the extension of that name, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.settings.choices import IMG2IMG

LINEAR: Final = "Linear"
CHESS: Final = "Chess"
BAND_PASS: Final = "Band pass"
HALF_TILE: Final = "Half tile"
HALF_TILE_AND_INTERSECTIONS: Final = "Half tile + intersections"
NOTHING: Final = "None"
OF_IMG2IMG: Final = "Width and Height of img2img"
CUSTOM_SIZE: Final = "Custom size"
BY_SCALE: Final = "Scale of the picture"

_NOTE: Final = "<p>Enlarges the picture and redraws it in tiles; Width and Height are the size of the result</p>"


def _written(name: str) -> str:
    return f"Ultimate SD upscale {name}"


def _side(name: str, label: str, default: int) -> Argument:
    return Argument(name, label, default, minimum=0, maximum=2048, step=64, most=8192, infotext=_written(name))


ULTIMATE_UPSCALE: Final = Script(
    "Ultimate SD upscale",
    IMG2IMG,
    (
        Argument("note", "", _NOTE, "note"),
        _side("tile_width", "Tile width", 512),
        _side("tile_height", "Tile height (0: as the width)", 0),
        Argument("mask_blur", "Mask blur", 8, minimum=0, maximum=64, step=1, infotext=_written("mask_blur")),
        Argument("padding", "Padding", 32, minimum=0, maximum=512, step=1, infotext=_written("padding")),
        Argument("seams_fix_width", "Width of the bands", 64, minimum=0, maximum=128, step=1, most=1024),
        Argument("seams_fix_denoise", "Denoising strength at the seams", 0.35, minimum=0, maximum=1, step=0.01),
        Argument("seams_fix_padding", "Padding at the seams", 16, minimum=0, maximum=128, step=1, most=512),
        Argument("upscaler", "Upscaler", NOTHING, "radio", listed="upscalers", infotext=_written("upscaler")),
        Argument("save_upscaled", "Save the redrawn picture", True, "checkbox"),
        Argument("redraw_mode", "Order of the tiles", LINEAR, "dropdown", choices=(LINEAR, CHESS, NOTHING)),
        Argument("save_seams", "Save the picture whose seams are redrawn", False, "checkbox"),
        Argument("seams_fix_mask_blur", "Mask blur at the seams", 4, minimum=0, maximum=64, step=1),
        Argument(
            "seams_fix_type",
            "Redraw the seams",
            NOTHING,
            "dropdown",
            choices=(NOTHING, BAND_PASS, HALF_TILE, HALF_TILE_AND_INTERSECTIONS),
        ),
        Argument(
            "target_size_type",
            "Size of the result",
            OF_IMG2IMG,
            "dropdown",
            choices=(OF_IMG2IMG, CUSTOM_SIZE, BY_SCALE),
        ),
        Argument("custom_width", "Custom width", 2048, minimum=64, maximum=8192, step=64, most=16384),
        Argument("custom_height", "Custom height", 2048, minimum=64, maximum=8192, step=64, most=16384),
        Argument("custom_scale", "Custom scale", 2.0, minimum=1, maximum=16, step=0.01),
    ),
    file="ultimate-upscale.py",
)


@dataclass(frozen=True, slots=True)
class UltimateUpscaleArguments(ScriptArguments):
    """How large the result is, how it is cut into tiles, and how these and the seams between them are redrawn.

    Lengths are in pixels; a `tile_width` or `tile_height` of 0 is the other one.
    """

    script: ClassVar[Script] = ULTIMATE_UPSCALE
    tile_width: int
    tile_height: int
    mask_blur: int
    padding: int
    seams_fix_width: int
    seams_fix_denoise: float
    seams_fix_padding: int
    upscaler: str
    save_upscaled: bool
    redraw_mode: str
    save_seams: bool
    seams_fix_mask_blur: int
    seams_fix_type: str
    target_size_type: str
    custom_width: int
    custom_height: int
    custom_scale: float

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of a tile, both 0 where neither is given."""
        return self.tile_width or self.tile_height, self.tile_height or self.tile_width

    @property
    def redraws_seams(self) -> bool:
        """Whether a further round goes over the seams between the tiles."""
        return self.seams_fix_type != NOTHING
