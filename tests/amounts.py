"""How much of something a test does: little in every run, much in the long suite (`--long`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def amount(short: int, long: int) -> int:
    """`short`, or `long` where the long suite was called for (tests/conftest.py writes that down)."""
    return long if os.environ.get("TESTS_LONG") else short


def some(values: Iterable[T], count: int) -> list[T]:
    """`count` of `values`, the first and the last among them; all of them in the long suite."""
    every = list(values)
    if amount(0, 1) or count >= len(every):
        return every
    return [every[round(index * (len(every) - 1) / max(count - 1, 1))] for index in range(count)]
