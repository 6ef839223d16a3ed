"""The pictures on display for a job, or for a whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modules.ui.results import pictures

if TYPE_CHECKING:
    from modules.jobs.job import SavedImage
    from modules.jobs.services import Services

# What the ids of batches begin with; the jobs of a batch have ids of their own.
BATCH_PREFIX: Final = "batch-"


def shown_pictures(services: Services, shown_id: str) -> list[SavedImage]:
    """In the order of the gallery. Of a batch only as many as the settings say: too many make a browser slow."""
    if not shown_id.startswith(BATCH_PREFIX):
        job = services.jobs.get(shown_id) if shown_id else None
        return [] if job is None else pictures(job)
    limit = services.options.whole("img2img_batch_show_results_limit")
    images = [image for job in services.jobs.of_batch(shown_id) for image in pictures(job)]
    return images if limit < 0 else images[:limit]


def first_picture(services: Services, shown_id: str) -> SavedImage | None:
    """The picture that stands for a job or a batch."""
    if not shown_id.startswith(BATCH_PREFIX):
        return next(iter(shown_pictures(services, shown_id)), None)
    return next((image for job in services.jobs.of_batch(shown_id) for image in pictures(job)), None)
