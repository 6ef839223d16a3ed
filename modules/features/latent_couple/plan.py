"""Latent Couple's grids: the rectangle and the weight of each part of a prompt joined with AND."""

from __future__ import annotations

import math
import re
from typing import Final

from modules.features.latent_couple.declare import LATENT_COUPLE, LatentCoupleArguments
from modules.features.regions.plan.areas import Area, Layout, Rectangle, Region, checked_layout
from modules.parameters import RequestError

_TITLE: Final = LATENT_COUPLE.title
_AND: Final = re.compile(r"\bAND\b")


def parts_layout(prompt: str, arguments: LatentCoupleArguments) -> Layout | None:
    """The parts of a prompt with their weights, None where it has no AND. Raises RequestError."""
    texts = [text.strip() for text in _AND.split(prompt)]
    if len(texts) == 1:
        return None
    rows = [[part.strip() for part in text.split(",")] for text in _lists(arguments)]
    if {len(row) for row in rows} != {len(texts)}:
        raise RequestError(
            f"{_TITLE}: the prompt has {len(texts)} parts joined with AND, and there are {len(rows[0])} divisions, "
            f"{len(rows[1])} positions and {len(rows[2])} weights: give each part one of each."
        )
    regions = tuple(
        Region(text, (Area(_box(*cell), _weight(weight)),)) for text, *cell, weight in zip(texts, *rows, strict=True)
    )
    return checked_layout(Layout(regions, latent=True, shared=False, until=arguments.step), _TITLE)


def _lists(arguments: LatentCoupleArguments) -> tuple[str, str, str]:
    return arguments.divisions, arguments.positions, arguments.weights


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise RequestError(f"{_TITLE}: the weight {text[:40]!r} is no number.")
    return weight


def _box(division: str, position: str) -> Rectangle:
    """`rows:columns` and `row:column`, where a-b spans several cells."""
    try:
        (rows, columns), (row, column) = (_pair(text) for text in (division, position))
        (top, bottom), (left, right) = (_span(span, float(count)) for span, count in ((row, rows), (column, columns)))
    except (ValueError, ZeroDivisionError):
        raise RequestError(
            f"{_TITLE}: position {position[:40]!r} in division {division[:40]!r} is no part of the picture: write "
            "rows:columns, and below them row:column counted from 0."
        ) from None
    return Rectangle(left, right, top, bottom)


def _pair(text: str) -> tuple[str, str]:
    first, second = text.split(":")
    return first, second


def _span(text: str, count: float) -> tuple[float, float]:
    first, dash, last = text.partition("-")
    start = float(first) / count
    end = float(last) / count if dash else (float(first) + 1) / count
    if not 0 <= start < end <= 1:
        raise ValueError(text)
    return start, end
