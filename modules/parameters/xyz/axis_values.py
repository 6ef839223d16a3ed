"""What is typed for an axis of X/Y/Z plot as a list of values. The forms are A1111's."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from typing import Any, Final

from modules.parameters.request import RequestError

MOST_VALUES: Final = 5000

_QUOTED: Final = '"{}"'
_MEANT: Final = re.compile(r'[",\n\r]|^\s|\s$')
_NUMBER: Final = r"([+-]?\s*[0-9]{1,20}(?:\.[0-9]{0,20})?)"
# 1-5, 1-5 (+2) and 1-10 [5].
_STEP: Final = r"\(\s*([+-]\s*[0-9.]{1,20})\s*\)"
_RANGE: Final = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}\s*(?:{_STEP}|\[\s*([0-9]{{1,6}})\s*\])?\s*")


def split_values(text: str) -> list[str]:
    """The values between commas; one in double quotes may hold commas itself."""
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise RequestError(f"X/Y/Z plot: the values {text[:40]!r} can't be read: {error}.") from error
    return [value for row in rows for word in row if (value := word.strip())]


def joined_values(words: Sequence[str]) -> str:
    """Values as `split_values` reads them."""
    return ", ".join(_QUOTED.format(word.replace('"', '""')) if _MEANT.search(word) else word for word in words)


def numbers(words: list[str], label: str, *, whole: bool) -> list[Any]:
    """Numbers and ranges as numbers. Raises RequestError naming the axis."""
    found: list[Any] = []
    for word in words:
        match = _RANGE.fullmatch(word)
        try:
            values = _range(match, whole=whole) if match else [int(word) if whole else float(word)]
            finite = all(math.isfinite(value) for value in values)
        except (ValueError, OverflowError):
            finite = False
        if not finite:
            raise RequestError(f"X/Y/Z plot: {word[:40]!r} is no value for {label}.")
        found += values
        if len(found) > MOST_VALUES:
            raise RequestError(f"X/Y/Z plot: {label} has more than {MOST_VALUES:,} values.")
    return found


def _range(match: re.Match[str], *, whole: bool) -> list[Any]:
    first, last = (float(text.replace(" ", "")) for text in match.group(1, 2))
    step, count = match.group(3), match.group(4)
    if count is not None:
        return _spread(first, last, int(count), whole=whole)
    by = float(step.replace(" ", "")) if step else 1.0
    if by == 0 or (whole and not all(number.is_integer() for number in (first, last, by))):
        raise ValueError
    if abs(last - first) / abs(by) > MOST_VALUES:
        return [0] * (MOST_VALUES + 1)
    if whole:
        return list(range(int(first), int(last) + 1, int(by)))
    # The end belongs to it, and half a step beyond for what the steps' rounding leaves over.
    return [first + by * number for number in range(math.ceil((last + by - first) / by - 1e-9))]


def _spread(first: float, last: float, count: int, *, whole: bool) -> list[Any]:
    if count > MOST_VALUES:
        return [0] * (MOST_VALUES + 1)
    values = [first + (last - first) * number / max(count - 1, 1) for number in range(count)]
    return [int(value) for value in values] if whole else values
