"""Detail Daemon: the model is shown a noise level that differs from the true one, and leaves more or less detail.

By muerrilla (2024, MIT licence), without a paper: shown less noise than there is, the model takes away less. The level
shown is σ' = σ · (1 - m · s / 10) for both sides, s the CFG scale, or σ · (1 - m / 10) for prompts or σ · (1 + m / 10)
for negative ones. m rises from the start offset at `start` to `amount` at start + bias · (end - start), falls to the
end offset at `end`; it goes by a cosine where it is smooth, to the power of `exponent`, and is less by `fade`. Prompts
and negative prompts are two calls meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from torch import Tensor

from modules.features.detail_daemon.declare import DetailUnit, detail_units
from modules.features.running import FeatureJob
from modules.generation.pipeline import JobFeature, PassContext, PassHook
from modules.sampling import CallPosition

# Levels stay above nothing whatever the amount and the CFG scale.
_LEAST: Final = 1e-6


def adjustment(unit: DetailUnit, at: CallPosition) -> float:
    """m at a call; starts and ends are on whole calls."""
    last = max(at.calls - 1, 1)
    start = min(unit.start, unit.end)
    first, top, end = (round(share * last) for share in (start, start + unit.bias * (unit.end - start), unit.end))
    if at.call < first or at.call > end:
        value = unit.start_offset if at.call < first else unit.end_offset
    else:
        rises = at.call <= top and top > first
        span, offset = (top - first, unit.start_offset) if rises else (end - top, unit.end_offset)
        share = 1.0 if not span else (at.call - first if rises else end - at.call) / span
        share = (1 - math.cos(share * math.pi)) / 2 if unit.smooth else share
        value = share**unit.exponent * (unit.amount - offset) + offset
    return value * (1 - unit.fade)


class DetailDaemon(PassHook):
    """Shows another noise level by some units, in a pass guided at `scale`."""

    def __init__(self, units: Sequence[DetailUnit], scale: float) -> None:
        self._units = units
        self._scale = scale

    def shown_level(self, level: Tensor, at: CallPosition, *, negative: bool) -> Tensor:
        for unit in self._units:
            share = adjustment(unit, at) / 10
            factor = 1.0
            if unit.mode == "both":
                factor = 1 - share * self._scale
            elif (unit.mode == "uncond") == negative:
                factor = 1 + share if negative else 1 - share
            level = level * max(factor, _LEAST)
        return level


class DetailDaemonFeature(JobFeature):
    """Its units in each pass: those for the hires pass there, the others in the first one."""

    def __init__(self, job: FeatureJob) -> None:
        units = detail_units(job.resolved.request.scripts)
        self._units = tuple(unit for unit in units if unit.amount or unit.start_offset or unit.end_offset)

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        units = tuple(unit for unit in self._units if unit.hires == context.is_hires)
        return (DetailDaemon(units, context.work.spec.cfg_scale),) if units else ()
