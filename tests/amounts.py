"""How much of something a test does: little in every run, much in the long suite (`--long`)."""

from __future__ import annotations

import os


def amount(short: int, long: int) -> int:
    """`short`, or `long` where the long suite was called for (tests/conftest.py writes that down)."""
    return long if os.environ.get("TESTS_LONG") else short
