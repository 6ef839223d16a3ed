"""Guidance in a limited interval of the steps.

Kynkäänniemi et al. (2024), arXiv:2404.07724: outside the interval the estimate is the prompt's own, as at scale 1. The
negative prompt's model call is spared there, so that these steps take half the time.
"""

from __future__ import annotations

from collections.abc import Sequence

from modules.features.each_pass import each_pass
from modules.features.guidance_interval.declare import GuidanceIntervalArguments
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import CallPosition


class Interval(PassHook):
    """Guides from `start` to `end` only, shares of the run."""

    def __init__(self, start: float, end: float) -> None:
        self._start = start
        self._end = end

    def spares_negative(self, at: CallPosition) -> bool:
        return not at.is_within(self._start, self._end)


def _hooks_of(arguments: GuidanceIntervalArguments, context: PassContext) -> Sequence[PassHook]:
    """None where every step is guided."""
    whole = arguments.start == 0 and arguments.end == 1
    return () if whole else (Interval(arguments.start, arguments.end),)


guidance_interval = each_pass(GuidanceIntervalArguments, _hooks_of)
