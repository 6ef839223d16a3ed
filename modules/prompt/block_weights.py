"""Weights of a network for single blocks of the UNet, as the extension LoRA Block Weight writes them in tags.

`lbw=MIDD` names a preset, `lbw=1,0,0.5,…` gives the weights themselves: 17 or 26 for Stable Diffusion 1 and 2, 12 or 20
for SDXL. The first one, BASE, is the text encoders'; the longer lists have every block, the shorter ones those with
attention, and leave out what else a network changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from modules.parameters.unet_blocks import BASE, all_blocks, blocks

# Weights by the block's name; (name, weight) in the list's order.
BlockWeights = tuple[tuple[str, float], ...]
Presets = Mapping[str, str]

# The blocks of a list by its length, and how many blocks its UNets have on the way in: SDXL's have nine.
_LISTS: Final[dict[int, tuple[tuple[str, ...], int]]] = {
    12: ((BASE, *blocks((4, 5, 7, 8), range(6))), 9),
    17: ((BASE, *blocks((1, 2, 4, 5, 7, 8), range(3, 12))), 12),
    20: ((BASE, *all_blocks(9)), 9),
    26: ((BASE, *all_blocks(12)), 12),
}


def _runs(*runs: tuple[float, int]) -> str:
    return ",".join(f"{weight:g}" for weight, count in runs for _ in range(count))


PRESETS: Final[Presets] = {
    "NONE": _runs((0, 17)),
    "ALL": _runs((1, 17)),
    "INS": _runs((1, 4), (0, 13)),
    "IND": _runs((1, 1), (0, 3), (1, 3), (0, 10)),
    "INALL": _runs((1, 7), (0, 10)),
    "MIDD": _runs((1, 1), (0, 3), (1, 8), (0, 5)),
    "OUTD": _runs((1, 1), (0, 7), (1, 4), (0, 5)),
    "OUTS": _runs((1, 1), (0, 11), (1, 5)),
    "OUTALL": _runs((1, 1), (0, 7), (1, 9)),
    "ALL0.5": _runs((0.5, 17)),
}


def parse_block_weights(text: str, presets: Presets) -> BlockWeights:
    """The weights that `lbw=` gives: a preset's, one's own before the built-in ones, or a list of numbers.

    Every block of the UNet has one: those that a short list leaves out have 0.

    Raises:
        ValueError: no such preset, or no list of such a length; what is wrong and what would do, without a full stop.
    """
    written = presets.get(text.strip()) or PRESETS.get(text.strip()) or text
    try:
        weights = [float(one) for one in written.split(",")]
    except ValueError:
        known = ", ".join((*presets, *PRESETS))
        raise ValueError(f"{text[:40]!r} is no list of numbers and no preset ({known})") from None
    if len(weights) not in _LISTS or not all(map(math.isfinite, weights)):
        lengths = ", ".join(map(str, _LISTS))
        raise ValueError(f"{len(weights)} block weights are given, and it takes {lengths} finite ones")
    names, depth = _LISTS[len(weights)]
    found = dict.fromkeys((BASE, *all_blocks(depth)), 0.0) | dict(zip(names, weights, strict=True))
    return tuple(found.items())


def parse_presets(lines: Iterable[str]) -> Presets:
    """Presets as people write them down, `NAME: 1,0,…` in a line; what is no such line is left out."""
    pairs = (line.partition(":")[::2] for line in lines)
    return {name.strip(): weights.strip() for name, weights in pairs if name.strip() and weights.strip()}
