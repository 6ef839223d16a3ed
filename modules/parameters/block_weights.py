"""Weights by block of the UNet, as the extensions for block-weighted merging (MBW) write them.

Those of LoRAs, in `prompt/`, are other lists: there a block that a list leaves out has 0, here it follows M.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from modules.parameters.unet_blocks import BASE, DEPTHS, all_blocks

BLOCKS: Final = all_blocks(max(DEPTHS))
_ORDERS: Final[Mapping[int, tuple[str, ...]]] = {
    len(order): order for depth in DEPTHS for order in (all_blocks(depth), (BASE, *all_blocks(depth)))
}
_SLOPE: Final = tuple(n / 12 for n in range(12))

# Published presets of the MBW extensions, BASE first. As runs: BASE, the way down, the middle, the way up.
PRESETS: Final[Mapping[str, tuple[float, ...]]] = {
    "GRAD_V": (0.0, *(1 - n for n in _SLOPE), 0.0, *(1 / 12 + n for n in _SLOPE)),
    "GRAD_A": (0.0, *_SLOPE, 1.0, *(11 / 12 - n for n in _SLOPE)),
    "FLAT_25": (0.0, *(0.25,) * 25),
    "FLAT_50": (0.0, *(0.5,) * 25),
    "FLAT_75": (0.0, *(0.75,) * 25),
    "WRAP08": (0.0, *(1.0,) * 8, *(0.0,) * 9, *(1.0,) * 8),
    "WRAP12": (0.0, *(1.0,) * 12, 0.0, *(1.0,) * 12),
}
_WEIGHT = re.compile(r"[\s,]+")


def read_block_weights(text: str) -> dict[str, float]:
    """The weights in `text`, by block; {} for an empty one.

    25 numbers are IN00 to IN11, M00, OUT00 to OUT11; with 26 the first one is BASE, for all outside the UNet. For SDXL,
    whose blocks end at IN08 and OUT08, 19 or 20 do. Raises ValueError with a sentence.
    """
    stated = [one for one in _WEIGHT.split(text.strip()) if one]
    if not stated:
        return {}
    order = _ORDERS.get(len(stated))
    if order is None:
        raise ValueError(
            f"there are {len(stated)} numbers where 25 (IN00-11, M00, OUT00-11) or 26 (BASE first) belong; "
            "for SDXL 19 or 20"
        )
    return dict(zip(order, map(_weight, stated), strict=True))


def write_block_weights(weights: tuple[float, ...]) -> str:
    """Numbers as `read_block_weights` takes them."""
    return ",".join(f"{round(weight, 4):g}" for weight in weights)


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -10 <= value <= 10:
        raise ValueError(f"{text[:20]!r} is no number between -10 and 10")
    return value
