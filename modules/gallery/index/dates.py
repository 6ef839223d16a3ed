"""Days and spans of time as people write them in a search: 2026, 2026-10, 2026-10-03, today."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

_DATE: Final = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_NAMED: Final = {"today": (0, 1), "yesterday": (1, 0), "week": (6, 1), "month": (30, 1)}


def span_of(text: str, now: datetime | None = None) -> tuple[float, float] | None:
    """Beginning and end (not included) of a date or its name, in seconds since 1970, local time; None for others."""
    begun = (now or datetime.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    if (named := _NAMED.get(text.lower())) is not None:
        return (begun - timedelta(named[0])).timestamp(), (begun + timedelta(named[1])).timestamp()
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    try:
        start = datetime(year, month or 1, day or 1)
        if day:
            end = start + timedelta(1)
        elif month:
            end = datetime(year + month // 12, month % 12 + 1, 1)
        else:
            end = datetime(year + 1, 1, 1)
        return start.timestamp(), end.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
