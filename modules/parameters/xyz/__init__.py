"""X/Y/Z plot: axes, their values, and what the legend says of them."""

from modules.parameters.xyz.axes import (
    AXES,
    NOTHING,
    SEEDS,
    Axis,
    axis_labels,
    changes,
    find_axis,
    missing_in_prompts,
    overrides,
)
from modules.parameters.xyz.plot import TITLE, AxisValues, axes_of, grid_facts, with_fixed_seeds

__all__ = [
    "AXES",
    "NOTHING",
    "SEEDS",
    "TITLE",
    "Axis",
    "AxisValues",
    "axes_of",
    "axis_labels",
    "changes",
    "find_axis",
    "grid_facts",
    "missing_in_prompts",
    "overrides",
    "with_fixed_seeds",
]
