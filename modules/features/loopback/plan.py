"""Loopback: the result is the next pass's start, under a strength that follows a curve. As A1111 v1.10.1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from modules.features.loopback.declare import LoopbackArguments
from modules.features.planning import Picture, few_enough
from modules.parameters import GenerationRequest

# How far from the first strength to the final one, by the share of the loops that is done.
_CURVES: Final[Mapping[str, Callable[[float], float]]] = {
    "Aggressive": lambda share: math.sin(share * math.pi / 2),
    "Linear": lambda share: share,
    "Lazy": lambda share: 1 - math.cos(share * math.pi / 2),
}


def loopback(request: GenerationRequest) -> Sequence[Picture]:
    """Every pass of every batch is a picture; the seed goes on counting through them all. Batch size has no effect."""
    arguments = LoopbackArguments.of(request.scripts)
    loops = arguments.loops
    few_enough("Loopback", loops * request.n_iter)
    strengths = loop_strengths(request.denoising_strength, arguments)
    return [
        Picture(_changes(strengths[loop], first=loop == 0), seed=batch * loops + loop)
        for batch in range(request.n_iter)
        for loop in range(loops)
    ]


def loop_strengths(first: float, arguments: LoopbackArguments) -> list[float]:
    """The denoising strength of each loop."""
    loops, curve = arguments.loops, _CURVES[arguments.denoising_curve]
    change = arguments.final_denoising_strength - first
    return [first + change * curve(loop / (loops - 1)) if loops > 1 else first for loop in range(loops)]


def _changes(strength: float, *, first: bool) -> dict[str, Any]:
    # After the first pass there is something under the mask that is worth going on from.
    return {"denoising_strength": strength} | ({} if first else {"inpainting_fill": 1})
