"""Which of a job's pictures are shown and returned, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from modules.features.xyz_plot.declare import XyzArguments
from modules.gallery import ANIMATION, DETECTED_MAP, GRID_KINDS
from modules.jobs.job import Job, SavedImage
from modules.parameters.xyz import TITLE


def shown_images(job: Job) -> list[SavedImage]:
    """A job's pictures in A1111's order: the grids first if they are wanted, then the images with their masks.

    What a script has made of its images comes last.
    """
    if (extras := job.request.extras) is not None:
        # Of each picture its first result arrives last.
        return sorted(job.images, key=lambda image: (image.index, image.kind != "image")) if extras.show else []
    grids = [image for image in job.images if image.kind in GRID_KINDS] if job.resolved.settings.grids.show else []
    made_of_them = [image for image in job.images if image.kind == ANIMATION]
    return [*grids, *([] if grids and _is_grid_alone(job) else _images(job)), *made_of_them]


def _is_grid_alone(job: Job) -> bool:
    """Whether the pictures of X/Y/Z plot are shown in its grid only, as long as there is one."""
    return TITLE in job.request.scripts and not XyzArguments.of(job.request.scripts).include_lone_images


def _images(job: Job) -> Iterator[SavedImage]:
    shown = job.resolved.settings.saved
    behind = {"mask": shown.return_mask, "mask-composite": shown.return_mask_composite}
    kinds = ("image", *(kind for kind, wanted in behind.items() if wanted))
    own = [image for image in job.images if image.kind in kinds]
    yield from sorted(own, key=lambda image: (image.index, kinds.index(image.kind)))
    # ControlNet's maps come behind all pictures.
    maps = [image for image in job.images if image.kind.startswith(DETECTED_MAP)]
    yield from sorted(maps, key=lambda image: image.kind)
