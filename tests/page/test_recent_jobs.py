"""Polls of /internal/page read an ended job once, however many there are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from modules.jobs.access import Viewer
from modules.jobs.job import Job
from modules.page import recent_jobs
from modules.page.recent_jobs import FILES_SECONDS, MOST_REMEMBERED, RecentJobs


class Rows:
    """The queue's two calls that are needed here, counted."""

    def __init__(self, jobs: list[Any]) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.read: Counter[str] = Counter()

    def ids(self, states: object, limit: int, client: str, viewer: Viewer) -> list[str]:
        return list(self.jobs)[:limit]

    def get(self, job_id: str) -> Any:
        self.read[job_id] += 1
        return self.jobs.get(job_id)


def row(number: int, *, ended: bool = True) -> Any:
    return SimpleNamespace(id=f"job{number}", ended=ended)


def test_ended_jobs_are_read_once_and_running_ones_each_time(monkeypatch: Any) -> None:
    looked: list[str] = []

    def pictures(job: Job) -> list[Path]:
        looked.append(job.id)
        return [Path(job.id)]

    monkeypatch.setattr(recent_jobs, "pictures", pictures)
    now = [100.0]
    rows = Rows([row(0, ended=False), *(row(number) for number in range(1, 48))])
    recent: RecentJobs = RecentJobs(rows, lambda: now[0])  # type: ignore[arg-type]  # a fake stands in
    for _ in range(10):
        assert [found.images for found in recent.of(Viewer(client="me"), 48)] == [1] * 48
    assert rows.read["job0"] == 10 and set(rows.read.values()) == {10, 1}
    assert len(looked) == 57
    now[0] += FILES_SECONDS
    recent.of(Viewer(client="another"), 48)
    assert rows.read["job1"] == 2


def test_only_so_many_are_remembered(monkeypatch: Any) -> None:
    monkeypatch.setattr(recent_jobs, "pictures", lambda job: [])
    rows = Rows([row(number) for number in range(MOST_REMEMBERED + 100)])
    recent: RecentJobs = RecentJobs(rows)  # type: ignore[arg-type]  # a fake stands in
    recent.of(Viewer(client="me"), MOST_REMEMBERED + 100)
    assert len(recent._ended) == MOST_REMEMBERED
