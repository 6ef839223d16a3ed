"""The queue: stores jobs in SQLite, runs them in order on an engine that it supervises, and publishes events."""

from modules.jobs.access import ANYONE, Viewer
from modules.jobs.job import (
    EngineChanged,
    EngineStatus,
    ImageSaved,
    Job,
    JobChanged,
    JobError,
    JobProgress,
    JobState,
    QueueChanged,
    QueueFull,
    SavedImage,
    UnknownJob,
)
from modules.jobs.service import JobService
from modules.jobs.subscriptions import JobEvent, Subscription

__all__ = [
    "ANYONE",
    "EngineChanged",
    "EngineStatus",
    "ImageSaved",
    "Job",
    "JobChanged",
    "JobError",
    "JobEvent",
    "JobProgress",
    "JobService",
    "JobState",
    "QueueChanged",
    "QueueFull",
    "SavedImage",
    "Subscription",
    "UnknownJob",
    "Viewer",
]
