"""The pictures on display for a job, or for a whole batch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from modules.jobs.batches import BATCH_PREFIX
from modules.jobs.shown_images import shown_images
from modules.jobs.viewed import ViewedJobs

if TYPE_CHECKING:
    from modules.jobs.access import Viewer
    from modules.jobs.job import Job, JobProgress, SavedImage, Spent
    from modules.jobs.services import Services

# A job that made one picture of another job's gallery again is named for it, so that the gallery keeps the others.
_REPLACES: Final = re.compile(r"replaces-(\d+)-(.+)")


def replacing(shown_id: str, index: int) -> str:
    """The `task_id` of a job whose pictures stand in for picture `index` of the gallery that shows `shown_id`."""
    return f"replaces-{index}-{shown_id}"


def pictures(job: Job) -> list[SavedImage]:
    """A job's own pictures in the order of the gallery, as far as their files are there."""
    return [image for image in shown_images(job) if image.path.is_file()]


def shown_with_jobs(jobs: ViewedJobs, job_id: str) -> list[tuple[Job, SavedImage]]:
    """The gallery's pictures for a job that is no batch, in order, each with the job that made it."""
    job = jobs.get(job_id) if job_id else None
    replacements: list[tuple[Job, int]] = []
    while job is not None and (place := _replaced(job)) is not None:
        index, base_id = place
        replacements.append((job, index))
        job = jobs.get(base_id)
    shown = [] if job is None else [(job, image) for image in pictures(job)]
    for other, index in reversed(replacements):
        own = [(other, image) for image in pictures(other)]
        # The gallery that it came from may have been forgotten, or lost files.
        shown = [*shown[:index], *own, *shown[index + 1 :]] if own else shown
    return shown


def tab_of(jobs: ViewedJobs, job: Job) -> str:
    """The tab whose gallery shows a job: that of the picture that it stands in for, else its own."""
    first: Job | None = job
    while first is not None and (place := _replaced(first)) is not None:
        job, first = first, jobs.get(place[1])
    return (first or job).request.mode


def shown_pictures(services: Services, viewer: Viewer, shown_id: str) -> list[SavedImage]:
    """In the order of the gallery. Of a batch only as many as the settings say: too many make a browser slow."""
    jobs = ViewedJobs(services.jobs, viewer)
    if not shown_id.startswith(BATCH_PREFIX):
        return [image for _, image in shown_with_jobs(jobs, shown_id)]
    limit = services.options.whole("img2img_batch_show_results_limit")
    return [image for image in jobs.images_of_batch(shown_id, limit) if image.path.is_file()]


def first_selected(jobs: ViewedJobs, shown_id: str, count: int) -> int:
    """Which of `count` pictures on display is selected first: the new one, where it stands among older ones."""
    job = jobs.get(shown_id) if shown_id and not shown_id.startswith(BATCH_PREFIX) else None
    place = _replaced(job) if job is not None else None
    return 0 if place is None else min(place[0], max(0, count - 1))


def numbered_picture(jobs: ViewedJobs, job_id: str, number: int) -> SavedImage | None:
    """The job's file of that number, counted from 0 in the order in which they were saved; None where it is gone."""
    job = jobs.get(job_id)
    images = () if job is None else job.images
    return images[number] if 0 <= number < len(images) and images[number].path.is_file() else None


def first_picture(jobs: ViewedJobs, shown_id: str) -> SavedImage | None:
    """The picture that stands for a job or a batch."""
    if not shown_id.startswith(BATCH_PREFIX):
        job = jobs.get(shown_id)
        return None if job is None else next(iter(pictures(job)), None)
    return next((image for image in jobs.images_of_batch(shown_id, 1) if image.path.is_file()), None)


def spent_on(jobs: ViewedJobs, shown_id: str) -> Spent | None:
    """What a job took. Of a batch nothing is said: its jobs may have waited for others."""
    job = jobs.get(shown_id) if shown_id and not shown_id.startswith(BATCH_PREFIX) else None
    return None if job is None else job.spent


def under_way(job: Job, progress: JobProgress) -> tuple[int, int, int]:
    """The first and the last of the pictures that the running job makes at once, counted from 1, and their number."""
    if job.request.extras is not None:
        # Its steps are its files.
        return progress.step or 1, progress.step or 1, progress.steps or 1
    count = job.resolved.image_count
    if job.resolved.variants:
        made = sum(image.kind == "image" for image in progress.images)
        return min(count, made + 1), min(count, made + 1), count
    size = job.resolved.request.batch_size
    first = min(count, progress.batch * size + 1)
    return first, min(count, first + size - 1), count


def _replaced(job: Job) -> tuple[int, str] | None:
    """Place and gallery of the picture that the job's stand in for."""
    found = _REPLACES.fullmatch(job.task_id or "")
    return None if found is None else (int(found[1]), found[2])
