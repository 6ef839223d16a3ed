"""Batches: many jobs of one call, each of a file. They share a `task_id`, by which they are shown and stopped."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modules.intake.unit_folders import UnitFolders
from modules.jobs.job import Job, JobError
from modules.parameters import BatchFile, GenerationRequest, RequestError

if TYPE_CHECKING:
    from modules.jobs.access import Viewer
    from modules.jobs.services import Services

# What the ids of batches begin with; the jobs of a batch have ids of their own.
BATCH_PREFIX: Final = "batch-"
# A sentence names this many files, then counts.
_NAMED: Final = 6


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A job of a batch: its request, and the pictures that it names; those of `places` are read when it is queued."""

    request: GenerationRequest
    places: Mapping[str, Path]
    inputs: Mapping[str, bytes] = field(default_factory=dict)


def submit_batch_jobs(
    services: Services,
    jobs: Sequence[BatchJob],
    sender: Viewer,
    *,
    notices: Sequence[str] = (),
    task_id: str | None = None,
    save: bool = True,
) -> list[Job]:
    """Queue them all under one `task_id`; the `notices` come with the first.

    Raises:
        RequestError: there is no job: the notices say why.
        JobError: the queue has no room for all of them, or a file can't be read any more.
    """
    if not jobs:
        raise RequestError("\n".join(notices))
    room = services.options.whole("queue_waiting_limit") - services.jobs.count("waiting")
    if len(jobs) > room:
        raise JobError(
            f"The batch has {len(jobs)} files and the queue has room for {max(0, room)}: take fewer at a time, or"
            " raise the limit of waiting jobs in Settings."
        )
    task = task_id or f"{BATCH_PREFIX}{secrets.token_hex(8)}"
    queued = []
    for number, job in enumerate(jobs):
        try:
            inputs = {**job.inputs, **{name: path.read_bytes() for name, path in job.places.items()}}
        except OSError as error:
            sentence = (
                f"{error.filename} can't be read any more: {number} files before it are queued, the others are not."
            )
            raise JobError(sentence) from error
        first = () if number else tuple(notices)
        queued.append(
            services.jobs.submit(
                job.request,
                inputs=inputs,
                client=sender.client,
                user=sender.user,
                task_id=task,
                save=save,
                notices=first,
            )
        )
    return queued


def about_skipped(skipped: Sequence[str]) -> tuple[str, ...]:
    """What is said of files that were left out, each of which is a line; nothing where none were."""
    if not skipped:
        return ()
    more = len(skipped) - _NAMED
    head = "1 file was skipped" if len(skipped) == 1 else f"{len(skipped)} files were skipped"
    return ("\n".join([f"{head}:", *skipped[:_NAMED], *([f"and {more} more."] if more > 0 else [])]),)


def jobs_of_folders(
    request: GenerationRequest, inputs: Mapping[str, bytes], folders: UnitFolders
) -> tuple[list[BatchJob], list[str]]:
    """A job for each run that the units' folders are enough for, and a line for each that has a bad file."""
    jobs: list[BatchJob] = []
    skipped = []
    for number in range(folders.count):
        name = folders.name(number)
        try:
            own, places = folders.request(request, number)
        except RequestError as error:
            skipped.append(f"{name}: {error}")
            continue
        output = None if folders.output is None else str(folders.output)
        batch = BatchFile(name=name, number=len(jobs), folder=output)
        jobs.append(BatchJob(own.model_copy(update={"batch": batch}), places, inputs))
    return jobs, skipped
