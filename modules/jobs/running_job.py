"""What the queue's thread remembers of the job under way."""

from __future__ import annotations

from dataclasses import dataclass

from modules.jobs.job import Job


@dataclass(slots=True)
class Running:
    """The job under way; seconds are of the monotonic clock."""

    job: Job
    heard: float
    longest_pause: float = 0.0
    stopping_since: float | None = None
    failure: str | None = None
    sent: bool = False
    """Whether an engine has been given the job and has not said that it is done with it."""
