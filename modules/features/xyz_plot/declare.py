"""The X/Y/Z plot's place among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script


def _axis(name: str, default: str) -> tuple[Argument, Argument, Argument]:
    big = name.upper()
    return (
        Argument(
            f"{name}_type", f"{big} type", default, "dropdown", listed="axes", infotext=f"{big} Type", of_grid=True
        ),
        Argument(f"{name}_values", f"{big} values", "", "textbox", infotext=f"{big} Values", of_grid=True),
        Argument(f"{name}_values_dropdown", f"{big} values", [], "words"),
    )


XYZ_PLOT: Final = Script(
    "X/Y/Z plot",
    arguments=(
        *_axis("x", "Seed"),
        *_axis("y", "Nothing"),
        *_axis("z", "Nothing"),
        Argument("draw_legend", "Draw legend", True, "checkbox"),
        Argument("include_lone_images", "Include Sub Images", False, "checkbox"),
        Argument("include_sub_grids", "Include Sub Grids", False, "checkbox"),
        Argument("no_fixed_seeds", "Keep -1 for seeds", False, "checkbox"),
        Argument("vary_seeds_x", "Vary seeds for X", False, "checkbox"),
        Argument("vary_seeds_y", "Vary seeds for Y", False, "checkbox"),
        Argument("vary_seeds_z", "Vary seeds for Z", False, "checkbox"),
        Argument("margin_size", "Grid margins (px)", 0, minimum=0, maximum=500, step=2),
        Argument("csv_mode", "Use text inputs instead of dropdowns", False, "checkbox"),
    ),
    file="xyz_grid.py",
)


class AxisArguments(NamedTuple):
    """One axis of a plot: its kind by its label, values as typed, values chosen in a list, and whether seeds vary."""

    name: str
    label: str
    text: str
    chosen: tuple[str, ...]
    varies_seeds: bool


@dataclass(frozen=True, slots=True)
class XyzArguments(ScriptArguments):
    """The three axes, what is made of the pictures, and which seeds they have. `margin_size` is in pixels."""

    script: ClassVar[Script] = XYZ_PLOT
    x_type: str
    x_values: str
    x_values_dropdown: tuple[str, ...]
    y_type: str
    y_values: str
    y_values_dropdown: tuple[str, ...]
    z_type: str
    z_values: str
    z_values_dropdown: tuple[str, ...]
    draw_legend: bool
    include_lone_images: bool
    include_sub_grids: bool
    no_fixed_seeds: bool
    vary_seeds_x: bool
    vary_seeds_y: bool
    vary_seeds_z: bool
    margin_size: int
    csv_mode: bool

    @property
    def axes(self) -> tuple[AxisArguments, AxisArguments, AxisArguments]:
        """X, Y and Z; with `csv_mode` nothing counts as chosen in a list."""
        x, y, z = (
            () if self.csv_mode else chosen
            for chosen in (self.x_values_dropdown, self.y_values_dropdown, self.z_values_dropdown)
        )
        return (
            AxisArguments("x", self.x_type, self.x_values, x, self.vary_seeds_x),
            AxisArguments("y", self.y_type, self.y_values, y, self.vary_seeds_y),
            AxisArguments("z", self.z_type, self.z_values, z, self.vary_seeds_z),
        )
