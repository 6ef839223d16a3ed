"""The pictures on display for a job, or for a whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modules.jobs.shown_images import shown_images

if TYPE_CHECKING:
    from modules.jobs.job import Job, SavedImage, Spent
    from modules.jobs.services import Services

# What the ids of batches begin with; the jobs of a batch have ids of their own.
BATCH_PREFIX: Final = "batch-"


def pictures(job: Job) -> list[SavedImage]:
    """A job's pictures in the order of the gallery, as far as their files are there."""
    return [image for image in shown_images(job) if image.path.is_file()]


def shown_pictures(services: Services, shown_id: str) -> list[SavedImage]:
    """In the order of the gallery. Of a batch only as many as the settings say: too many make a browser slow."""
    if not shown_id.startswith(BATCH_PREFIX):
        job = services.jobs.get(shown_id) if shown_id else None
        return [] if job is None else pictures(job)
    limit = services.options.whole("img2img_batch_show_results_limit")
    return [image for image in services.jobs.images_of_batch(shown_id, limit) if image.path.is_file()]


def first_picture(services: Services, shown_id: str) -> SavedImage | None:
    """The picture that stands for a job or a batch."""
    if not shown_id.startswith(BATCH_PREFIX):
        return next(iter(shown_pictures(services, shown_id)), None)
    return next((image for image in services.jobs.images_of_batch(shown_id, 1) if image.path.is_file()), None)


def spent_on(services: Services, shown_id: str) -> Spent | None:
    """What a job took. Of a batch nothing is told: its jobs may have waited for others."""
    job = services.jobs.get(shown_id) if shown_id and not shown_id.startswith(BATCH_PREFIX) else None
    return None if job is None else job.spent
