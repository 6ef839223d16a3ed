"""The controls of HyperTile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

HYPERTILE: Final = Script(
    "HyperTile",
    arguments=(
        Argument(
            "enabled", "Enable", False, "checkbox", infotext="hypertile_enabled", other_keys=(("Hypertile U-Net", 1.0),)
        ),
        Argument(
            "tile_size",
            "Tile size",
            256,
            minimum=64,
            maximum=1024,
            step=64,
            most=4096,
            infotext="hypertile_tile_size",
            other_keys=(("Hypertile U-Net max tile size", 1.0),),
        ),
        Argument(
            "swap_size",
            "Swap size",
            2,
            minimum=1,
            maximum=64,
            step=1,
            infotext="hypertile_swap_size",
            other_keys=(("Hypertile U-Net swap size", 1.0),),
        ),
        Argument(
            "max_depth",
            "Max depth",
            0,
            minimum=0,
            maximum=3,
            step=1,
            infotext="hypertile_max_depth",
            other_keys=(("Hypertile U-Net max depth", 1.0),),
        ),
        Argument("scale_depth", "Scale tiles by depth", False, "checkbox", infotext="hypertile_scale_depth"),
    ),
    always_on=True,
    file="hypertile.py",
    aliases=(
        "HyperTile Integrated",
        "HyperTile Integrated (SD 1.x, SD 2.x, SDXL)",
    ),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class HyperTileArguments(ScriptArguments):
    """The least side of a tile in pixels, of how many sizes one is chosen, and how deep in the UNet."""

    script: ClassVar[Script] = HYPERTILE
    tile_size: int
    swap_size: int
    max_depth: int
    scale_depth: bool
