"""The command with which a job goes to an engine."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from modules.jobs.collaborators import Collaborators
from modules.jobs.inputs import InputStore, references
from modules.parameters import ResolvedRequest
from modules.protocol import CheckpointFile, JobCommand, RunExtras, RunJob, RunMerger, inner_key

if TYPE_CHECKING:
    from modules.jobs.job import Job

_log = logging.getLogger(__name__)

REFINER_FIELDS: Final = frozenset({"refiner_checkpoint", "refiner_switch_at"})


class CommandBuilder:
    """Looks up the files that a job names, at the moment when it starts."""

    def __init__(self, inputs: InputStore, files: Collaborators) -> None:
        """`files` finds them by what a job was resolved to."""
        self._inputs = inputs
        self._files = files

    def command(self, job: Job) -> JobCommand:
        """What the engine is sent. Raises JobError or RequestError for a file that is gone."""
        if (extras := job.resolved.request.extras) is not None:
            done = {image.index for image in job.images if image.kind == "image"}
            given = (str(self._inputs.path(name)) for name in job.resolved.request.init_images)
            return RunExtras(
                job_id=job.id, resolved=job.resolved, files=extras.paths or tuple(given), done=tuple(sorted(done))
            )
        if (merger := job.resolved.request.merger) is not None:
            return RunMerger(job_id=job.id, resolved=job.resolved, files=self._files.merger_files(merger))
        names = references(job.resolved.request)
        delivered = sorted({image.index for image in job.images if image.kind == "image"})
        refiner = self._files.refiner_of(job.resolved)
        return RunJob(
            job_id=job.id,
            resolved=job.resolved,
            checkpoint=self._files.checkpoint_of(job.resolved),
            hires_checkpoint=self._files.hires_checkpoint_of(job.resolved),
            others=self._other_checkpoints(job.resolved),
            refiner_checkpoint=refiner,
            other_refiners=self._other_refiners(job.resolved, refiner),
            inner_checkpoints=self._inner_checkpoints(job.resolved),
            networks=self._files.networks_of(job.resolved),
            feature_files=self._files.feature_files(job.resolved),
            done=tuple(delivered),
            inputs=names,
            pictures=_delivered(job),
            blobs=tuple(self._inputs.get(name) for name in names),
        )

    def _other_checkpoints(self, resolved: ResolvedRequest) -> dict[int, CheckpointFile]:
        found: dict[tuple[str | None, str | None], CheckpointFile] = {}
        others = {}
        for index, variant in enumerate(resolved.variants):
            if variant.checkpoint is not None:
                key = variant.checkpoint, variant.vae
                if key not in found:
                    found[key] = self._files.checkpoint_of(resolved.of_image(index))
                others[index] = found[key]
        return others

    def _inner_checkpoints(self, resolved: ResolvedRequest) -> dict[str, CheckpointFile]:
        """Those of features' inner jobs, whichever images have them."""
        of_job = [(resolved.options, resolved.inner)]
        of_images = [(resolved.options | one.options, one.inner or {}) for one in resolved.variants]
        files: dict[str, CheckpointFile] = {}
        for options, inner in (*of_job, *of_images):
            for one in (one for ones in inner.values() for one in ones if one.checkpoint is not None):
                key = inner_key(one.checkpoint, one.vae)
                if key not in files:
                    named = {"checkpoint": one.checkpoint, "vae": one.vae, "options": options | one.options}
                    files[key] = self._files.checkpoint_of(resolved.model_copy(update=named))
        return files

    def _other_refiners(
        self, resolved: ResolvedRequest, refiner: CheckpointFile | None
    ) -> dict[int, CheckpointFile | None]:
        own = {
            index: self._files.refiner_of(resolved.of_image(index))
            for index, variant in enumerate(resolved.variants)
            if variant.checkpoint is not None or REFINER_FIELDS & set(variant.fields)
        }
        return {index: file for index, file in own.items() if file != refiner}


def _delivered(job: Job) -> dict[int, str]:
    """The files that an earlier engine's pictures were saved in, by index, for the grid of the whole job.

    One that somebody has deleted since, or that may not be read, is not made again: only the grid will lack it.
    """
    pictures = {}
    for image in sorted((image for image in job.images if image.kind == "image"), key=lambda image: image.index):
        if os.access(image.path, os.R_OK):
            pictures[image.index] = str(image.path)
        else:
            _log.warning("A picture of job %s will be missing in its grid: %s can't be read.", job.id, image.path)
    return pictures
