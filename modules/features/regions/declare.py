"""Masks of regions: one picture for each, or the colours of one picture for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from modules.features.declaration import Argument, Values

MOST_MASKS: Final = 16
MASK_PICTURES: Final = (
    # The words say how it is painted on, and which argument takes the painting.
    Argument("image", "Picture (white guides; or paint on it)", "", "picture", choices=("mask", "mask")),
    Argument("mask", "Mask", "", "picture", shown=False),
)
MASK_WEIGHT: Final = Argument("weight", "Weight", 1.0, minimum=0, maximum=5, step=0.05)


@dataclass(frozen=True, slots=True)
class MaskUnit:
    """One unit: the name of its picture, that of what was painted on it, or empty, and its weight."""

    image: str
    mask: str
    weight: float

    @property
    def painted(self) -> str:
        """What is white where the region guides."""
        return self.mask or self.image


def mask_units(values: Values) -> Iterator[MaskUnit]:
    """The units under `masks` that have a picture."""
    units = values.get("masks")
    for unit in units if isinstance(units, list) else ():
        assert isinstance(unit, Mapping)
        weight: JsonValue = unit.get("weight", 1.0)
        assert isinstance(weight, int | float)
        found = MaskUnit(str(unit.get("image", "")), str(unit.get("mask", "")), float(weight))
        if found.painted:
            yield found
