"""The axes of one plot with their values, in the words of the legend and of infotext."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

from modules.features.xyz_plot.declare import AxisArguments, XyzArguments
from modules.parameters.request import RequestError
from modules.parameters.resolved import RANDOM_SEEDS
from modules.parameters.xyz.axes import NOTHING, SEEDS, Axis, checked_values, find_axis
from modules.parameters.xyz.axis_values import joined_values, numbers, split_values

TITLE: Final = "X/Y/Z plot"
NAMES: Final = ("x", "y", "z")
_MOST_PERMUTED: Final = 7


@dataclass(frozen=True, slots=True)
class AxisValues:
    """An axis with its values."""

    axis: Axis
    values: Sequence[Any]

    @property
    def words(self) -> list[str]:
        """What the legend says of each value."""
        return [self._word(value) for value in self.values]

    def _word(self, value: object) -> str:
        if self.axis.label == NOTHING:
            return ""
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        if isinstance(value, float):
            text = str(round(value, 8))
        return text if self.axis.plain else f"{self.axis.label}: {text}"


def axes_of(arguments: XyzArguments, mode: str) -> list[AxisValues]:
    """X, Y and Z of a plot; an axis that is Nothing has one value. Raises RequestError."""
    return [_axis(one, mode) for one in arguments.axes]


def _axis(given: AxisArguments, mode: str) -> AxisValues:
    axis = find_axis(given.label, mode)
    if axis.label == NOTHING:
        return AxisValues(axis, [0])
    words = _words(given, axis)
    if not words:
        raise RequestError(f"{TITLE}: {given.name.upper()} values are empty: write them with commas in between.")
    return AxisValues(axis, _values(axis, words))


def _words(given: AxisArguments, axis: Axis) -> list[str]:
    """What was chosen for an axis that has a list, else what was typed."""
    return list(given.chosen if axis.listed else ()) or split_values(given.text)


def value_counts(arguments: XyzArguments, mode: str) -> list[int]:
    """How many values each axis has, in order; those without any are left out. Raises RequestError."""
    axes = [(one, find_axis(one.label, mode)) for one in arguments.axes]
    given = [(axis, words) for one, axis in axes if axis.label != NOTHING and (words := _words(one, axis))]
    return [len(_values(axis, words)) for axis, words in given]


def _values(axis: Axis, words: list[str]) -> Sequence[Any]:
    if axis.label == "Prompt order":
        if len(words) > _MOST_PERMUTED:
            raise RequestError(f"{TITLE}: Prompt order takes at most {_MOST_PERMUTED} values, not {len(words)}.")
        return list(permutations(words))
    if axis.kind == "text":
        return checked_values(axis, words)
    return numbers(words, axis.label, whole=axis.kind == "whole")


def with_fixed_seeds(arguments: Mapping[str, Any], mode: str, rng: random.Random) -> dict[str, Any]:
    """`arguments` with a number for each seed of -1 on an axis, unless they are to stay random."""
    fixed, read = dict(arguments), XyzArguments.read(arguments)
    for name, one in zip(NAMES, axes_of(read, mode), strict=True):
        if one.axis.label in SEEDS and not read.no_fixed_seeds:
            seeds = [value if value >= 0 else rng.randrange(RANDOM_SEEDS) for value in one.values]
            fixed |= {f"{name}_values": ", ".join(map(str, seeds)), f"{name}_values_dropdown": []}
    return fixed


def grid_facts(arguments: XyzArguments, axes: Sequence[AxisValues], *, whole: bool) -> Iterator[tuple[str, str]]:
    """What infotext says of a grid, the z axis only of the `whole` one."""
    yield "Script", TITLE
    for given, one in list(zip(arguments.axes, axes, strict=True))[: 3 if whole else 2]:
        if one.axis.label == NOTHING:
            continue
        name, chosen = given.name.upper(), given.chosen if one.axis.listed else ()
        yield f"{name} Type", one.axis.label
        yield f"{name} Values", joined_values(chosen) if chosen else given.text
        if one.axis.label in SEEDS and not arguments.no_fixed_seeds:
            yield f"Fixed {name} Values", ", ".join(map(str, one.values))
