"""Names of files as people, infotexts and other systems write them, made comparable."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def comparable(name: str) -> str:
    """`name` in one Unicode normal form (macOS decomposes what others compose), with `/` between folders."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def is_one_of(wanted: str, names: Iterable[str], *, any_case: bool = False) -> bool:
    """Whether `wanted` is one of `names`, however either is written."""
    meant = comparable(wanted)
    if any_case:
        return meant.lower() in (comparable(name).lower() for name in names)
    return meant in map(comparable, names)
