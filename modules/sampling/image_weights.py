"""How the weight of an IP-Adapter is spread over the attentions of a UNet, counted from its input to its output.

Behaviour reproduced: the weight types of sd-webui-controlnet 1.1.455.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from modules.parameters.control import ImageWeightType

_LEAST: Final = 0.05
_WEAK: Final = 0.2


@dataclass(frozen=True, slots=True)
class AttentionCount:
    """How many attentions a UNet has on its way down, in the middle, and on its way up. `xl` is SDXL's construction."""

    down: int
    middle: int
    up: int
    xl: bool = False

    @property
    def total(self) -> int:
        return self.down + self.middle + self.up


@dataclass(frozen=True, slots=True)
class _Roles:
    """Which attentions are known to draw the style of a picture, and by how much those that draw its composition do."""

    style: Collection[int]
    composition: dict[int, float]


_SD1: Final = _Roles((*range(4), *range(9, 16)), {4: 0.25, 5: 1.0})
_SDXL: Final = _Roles((6,), {3: 1.0})


def image_weights(
    kind: ImageWeightType, weight: float, count: AttentionCount, *, composition: float = 1.0
) -> tuple[float, ...]:
    """The weight of each attention. `composition` is that of the composition where a type has two weights."""
    roles = _SDXL if count.xl else _SD1
    return tuple(_weight(kind, weight, composition, index, count, roles) for index in range(count.total))


def _weight(
    kind: ImageWeightType, weight: float, composition: float, index: int, count: AttentionCount, roles: _Roles
) -> float:
    place, total = _place(index, count), count.total
    away = abs(index - total / 2) / (total / 2)
    match kind:
        case ImageWeightType.NORMAL:
            return weight
        case ImageWeightType.EASE_IN:
            return weight * (_LEAST + (1 - _LEAST) * (1 - index / total))
        case ImageWeightType.EASE_OUT:
            return weight * (_LEAST + (1 - _LEAST) * index / total)
        case ImageWeightType.EASE_IN_OUT:
            return weight * (_LEAST + (1 - _LEAST) * (1 - away))
        case ImageWeightType.REVERSE_IN_OUT:
            return weight * (_LEAST + (1 - _LEAST) * away)
        case ImageWeightType.WEAK_INPUT:
            return weight * (_WEAK if place == "down" else 1.0)
        case ImageWeightType.WEAK_MIDDLE:
            return weight * (_WEAK if place == "middle" else 1.0)
        case ImageWeightType.WEAK_OUTPUT:
            return weight * (_WEAK if place == "up" else 1.0)
        case ImageWeightType.STRONG_MIDDLE:
            return weight * (1.0 if place == "middle" else _WEAK)
        case ImageWeightType.STYLE:
            return weight if index in roles.style else 0.0
        case ImageWeightType.COMPOSITION:
            return weight * roles.composition.get(index, 0.0)
        case ImageWeightType.STRONG_STYLE:
            return 0.0 if index in roles.composition else weight
        case ImageWeightType.STYLE_AND_COMPOSITION:
            return weight if index in roles.style else composition * roles.composition.get(index, 0.0)


def _place(index: int, count: AttentionCount) -> str:
    if index < count.down:
        return "down"
    return "middle" if index < count.down + count.middle else "up"
