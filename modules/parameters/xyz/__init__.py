"""X/Y/Z plot: axes, their values, and what the legend says of them."""

from modules.parameters.xyz.axes import (
    AXES,
    DETAIL_SEARCHES,
    NOTHING,
    SEARCH,
    SEEDS,
    Axis,
    argument_of,
    axis_labels,
    changes,
    check_search,
    find_axis,
    overrides,
)
from modules.parameters.xyz.axis_values import joined_values, split_values
from modules.parameters.xyz.plot import NAMES, TITLE, AxisValues, axes_of, grid_facts, value_counts, with_fixed_seeds

__all__ = [
    "AXES",
    "DETAIL_SEARCHES",
    "NAMES",
    "NOTHING",
    "SEARCH",
    "SEEDS",
    "TITLE",
    "Axis",
    "AxisValues",
    "argument_of",
    "axes_of",
    "axis_labels",
    "changes",
    "check_search",
    "find_axis",
    "grid_facts",
    "joined_values",
    "overrides",
    "split_values",
    "value_counts",
    "with_fixed_seeds",
]
