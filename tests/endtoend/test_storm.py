"""The server that people get, killed at random moments of a stream of jobs. SERVER_KILLS=200 for the long run.

Without the page a start is cheap enough for ten kills in every run; tests/jobs/test_kill.py strikes the queue alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.durability import run

KILLS = int(os.environ.get("SERVER_KILLS", "10"))
SEED = int(os.environ.get("SERVER_KILL_SEED", "20261125"))

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(300 + 40 * KILLS),
    pytest.mark.skipif(not Path("/proc").exists(), reason="kills by SIGKILL"),
]


def test_kills_lose_nothing_tear_nothing_and_double_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(tmp_path, os.environ.get("SERVER_KILL_ENGINE", "fake"), KILLS, SEED)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201
