"""The server that people get, killed at random moments of a stream of jobs. a few, and 200 in the long suite.

Without the page a start is cheap enough for some kills in every run; tests/jobs/test_kill.py strikes the queue alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.durability import run
from tests.amounts import amount

KILLS = amount(3, 200)
SEED = int(os.environ.get("SERVER_KILL_SEED", "20261125"))

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(300 + 40 * KILLS),
    pytest.mark.skipif(not Path("/proc").exists(), reason="kills by SIGKILL"),
]


def test_kills_lose_nothing_tear_nothing_and_double_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(tmp_path, os.environ.get("SERVER_KILL_ENGINE", "fake"), KILLS, SEED)
    with capsys.disabled():
        print(f"\n{outcome}")  # noqa: T201
