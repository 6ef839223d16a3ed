"""One job from its first batch to its last picture."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from PIL import Image
from torch import Tensor

from modules.engine.channel import Emit
from modules.engine.control import JobControl
from modules.engine.decode_queue import DecodeQueue
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job_features import InnerJobs, JobFeatures, share_of_inner, share_of_main
from modules.engine.job_models import JobModels
from modules.engine.model_keeper import ModelKeeper
from modules.engine.model_placement import request_size
from modules.engine.picture_writer import PictureWriter, size_in_bytes
from modules.engine.previewer import Previewer
from modules.engine.progress_reporter import ProgressReporter
from modules.engine.script_job import ScriptJob
from modules.engine.upscalers import UpscalerKeeper
from modules.engine.work import Pixels, Work, open_work, picture_of
from modules.generation.finishing import Finished
from modules.generation.pipeline import Progress
from modules.hardware.choice import Hardware
from modules.hardware.memory_watch import MemoryWatch
from modules.pictures.grids import image_grid, too_large
from modules.protocol import CheckpointFile, JobFinished, JobStarted, RunJob
from modules.sampling import Interrupted

# Options that act only under some conditions, by the name of the effect, and where A1111 records them if they did.
_CONDITIONAL: Final[dict[str, tuple[str, ...]]] = {
    "min_sigma": ("NGMS", "NGMS all steps"),
    "skip_early": ("Skip Early CFG",),
    "pad_with_empty": ("Pad conds",),
    "pad_with_last": ("Pad conds v0",),
    "old_scheduling": ("Old prompt editing timelines",),
    "brackets": ("Emphasis",),
    "token_merging": ("Token merging ratio", "Token merging ratio hr"),
    "refiner": ("Refiner", "Refiner switch at", "Refiner switch by sampling steps", "Hires refiner"),
}


def without_effect(effects: set[str]) -> dict[str, object]:
    """Infotext keys that are left out, since what they record changed nothing in this job."""
    return {key: None for effect, keys in _CONDITIONAL.items() if effect not in effects for key in keys}


def run_job(
    command: RunJob,
    models: ModelKeeper,
    upscalers: UpscalerKeeper,
    control: JobControl,
    hardware: Hardware,
    emit: Emit,
    pictures: FinishedPictures,
    notices: tuple[str, ...] = (),
    watch: MemoryWatch | None = None,
) -> None:
    """Make every picture of a job that is not done yet, and report what happens. Raises what it cannot finish with.

    `pictures` has those that an earlier run of the job delivered; the others are added.
    """
    started = time.monotonic()
    resolved = command.resolved
    if control.stopped:
        # Interrupted while it waited: no checkpoint is loaded for nothing.
        emit(JobStarted(job_id=command.job_id, images=resolved.image_count))
        emit(JobFinished(job_id=command.job_id, seconds=0.0, interrupted=True, notices=notices))
        return
    effects: set[str] = set()
    facts: dict[str, object] = {}
    with (
        models.turns(_in_turn(command), request_size(resolved, together=resolved.request.batch_size)),
        JobModels(
            models,
            hardware,
            resolved,
            command.refiner_checkpoint,
            command.networks,
            command.feature_files,
            upscalers.features,
            upscalers.folders,
            upscalers.device_of("features"),
        ) as job_models,
        PictureWriter(
            command.job_id,
            resolved,
            lambda index: job_models.facts() | job_models.network_facts(index) | facts | without_effect(effects),
            emit,
        ) as writer,
    ):
        pixels = Pixels(upscalers, resolved.settings.upscaling, lambda: control.leave_batch)
        job_models.features = features = JobFeatures(
            command, upscalers, pixels, upscalers.features, job_models.on_device
        )
        job_models.pipeline(command.checkpoint)
        emit(JobStarted(job_id=command.job_id, images=resolved.image_count))
        reporter = ProgressReporter(command, Previewer(job_models, resolved.settings), emit, writer, effects)
        job: _Job | ScriptJob
        if resolved.request.script is None and not resolved.variants:
            job = _Job(command, pixels, control, job_models, writer, reporter, pictures)
            facts.update(job.facts)
        else:
            job = ScriptJob(command, job_models, pixels, control, writer, reporter, pictures)
        job.run()
    upscalers.leave_device()
    emit(
        JobFinished(
            job_id=command.job_id,
            seconds=time.monotonic() - started,
            interrupted=control.stopped,
            notices=(*notices, *job_models.notices, *job.notices, *features.notices, *writer.notices),
            memory=watch.peak() if watch else None,
        )
    )


def _in_turn(command: RunJob) -> list[CheckpointFile]:
    """The checkpoints that each batch of a job comes back to. Those of a script's pictures are known to it alone."""
    if command.resolved.request.script is not None or command.resolved.variants:
        return []
    files = (command.checkpoint, command.hires_checkpoint, command.refiner_checkpoint)
    return list({file.path: file for file in files if file is not None}.values())


class _Job:
    """The running job: which batches there are, how far it is, and whether it should go on."""

    def __init__(
        self,
        command: RunJob,
        pixels: Pixels,
        control: JobControl,
        models: JobModels,
        writer: PictureWriter,
        reporter: ProgressReporter,
        pictures: FinishedPictures,
    ) -> None:
        self._command = command
        self._inner = InnerJobs(command, models, pixels, self._inner_progress)
        self._work: Work = open_work(models, command, pixels, self._inner)
        self._features = models.features(command.resolved)
        # What takes the device is not done beside the steps of the next batch.
        self._apart = self._work.apart
        self._control = control
        self._writer = writer
        self._reporter = reporter
        self._models = models
        self._main = share_of_main(command.resolved)
        self._part = range(0)
        self._pictures = pictures
        self._wants_grid = self._grid_is_wanted()
        # Another checkpoint that ends a picture makes room for the next batch's first, its VAE included.
        beside = self._apart and command.hires_checkpoint is None and command.refiner_checkpoint is None
        self._decode_queue = DecodeQueue(self._work, models.side_streams() if beside else None, self._deliver)
        self._grid_notices: tuple[str, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        trouble = (self._pictures.trouble,) if self._pictures.trouble else ()
        return (*self._work.notices, *self._grid_notices, *trouble)

    @property
    def facts(self) -> Mapping[str, object]:
        """What only the work knows for the infotext."""
        return self._work.facts

    def run(self) -> None:
        self._keep_init_pictures()
        with self._decode_queue:
            for batch, images in self._batches():
                if self._control.stopped:
                    return
                for part in _split(images, self._models.together):
                    self._make(batch, part)
                self._control.end_batch()
        self._grid()

    def _batches(self) -> Iterator[tuple[int, range]]:
        """(number, image indexes) of each batch of which something is still to be made."""
        size = self._command.resolved.request.batch_size
        for batch in range(self._command.resolved.request.n_iter):
            images = range(batch * size, (batch + 1) * size)
            if not set(images) <= set(self._command.done):
                yield batch, images

    def _make(self, batch: int, part: range) -> None:
        if set(part) <= set(self._command.done) or self._control.leave_batch:
            return
        self._part = part
        latents = self._work.latents(part, lambda number: self._progress(batch, part, number))
        unfinished = self._control.leave_batch
        settings = self._command.resolved.settings
        if unfinished and not settings.saved.incomplete_images:
            return
        if unfinished and settings.previews.fast_interrupt:
            self._models.codec.quick = self._reporter.previewer.quick()
        try:
            for index, picture in self._decoded(part, latents, batch):
                self._deliver(picture, index, batch)
        finally:
            self._models.codec.quick = None

    def _decoded(self, part: range, latents: Tensor, batch: int) -> list[tuple[int, Image.Image]]:
        """The pictures that are to be delivered now; those that are finished beside the steps come by themselves."""
        wanted = [
            (index, latent) for index, latent in zip(part, latents, strict=True) if index not in self._command.done
        ]
        if not self._apart:
            # All of them before the first is finished: a feature may load another checkpoint for that.
            return [(index, picture_of(self._work.pipeline, latent)) for index, latent in wanted]
        for index, latent in wanted:
            self._decode_queue.add(latent, index, batch)
        return []

    def _keep_init_pictures(self) -> None:
        if 0 not in self._command.done:
            for picture in self._work.init_pictures:
                self._writer.init_picture(picture)

    def _deliver(self, picture: Image.Image, index: int, batch: int) -> None:
        """Finish a decoded picture and send it: on the writer's thread, unless that takes the device."""
        shown_at = (batch, sum(self._work.steps)) if self._reporter.shows_finished else None
        finish = partial(self._finished, picture, index)
        if not self._apart:
            finish = partial(_itself, finish())
        store = self._pictures if self._wants_grid else None
        self._writer.finished(finish, index, size=size_in_bytes(picture), shown_at=shown_at, store=store)

    def _finished(self, picture: Image.Image, index: int) -> Finished:
        self._inner.begin(index)
        finished = self._work.finish(picture, index)
        for feature in self._features:
            finished = feature.after_picture(finished, index)
        return finished

    def _inner_progress(self, index: int, number: int) -> Progress:
        """The hooks of pass `number` that features run over finished image `index`; its steps are counted anew."""
        request, part = self._command.resolved.request, self._part
        batch = index // request.batch_size

        def on_step(step: int, steps: int, denoised: Tensor) -> None:
            finished = (index - part.start + share_of_inner(number, step / steps)) / len(part)
            fraction = self._fraction(batch, part, self._main + (1 - self._main) * finished)
            self._reporter.step(batch, step, steps, fraction, denoised)

        return Progress(on_step, self._stop_if_requested, self._reporter.effects, self._reporter.shown)

    def _stop_if_requested(self) -> None:
        if self._control.leave_batch:
            raise Interrupted

    def _progress(self, batch: int, part: range, number: int) -> Progress:
        """The hooks of pass `number` over `part` of a batch's images."""
        planned = self._work.steps
        before = sum(planned[:number])

        def on_step(step: int, steps: int, denoised: Tensor) -> None:
            # A feature may take steps before those of the pass.
            whole = sum(planned) + max(0, steps - planned[number])
            fraction = self._fraction(batch, part, self._main * min((before + step) / whole, 1.0))
            self._reporter.step(batch, before + step, whole, fraction, denoised)
            self._decode_queue.take_up()

        return Progress(
            on_step=on_step,
            before_call=self._stop_if_requested,
            effects=self._reporter.effects,
            shown=self._reporter.shown,
        )

    def _fraction(self, batch: int, part: range, share: float) -> float:
        """How much of the job is done when that share of this part of the batch is."""
        request = self._command.resolved.request
        earlier = part.start - batch * request.batch_size
        return (batch + (earlier + share * len(part)) / request.batch_size) / request.n_iter

    def _grid_is_wanted(self) -> bool:
        resolved = self._command.resolved
        options = resolved.settings.grids
        several = resolved.image_count > 1 or not options.only_if_multiple
        return resolved.request.makes_grid and several and (options.save or options.show)

    def _grid(self) -> None:
        if not self._wants_grid:
            return
        resolved = self._command.resolved
        options = resolved.settings.grids
        self._writer.wait()
        pictures = self._pictures.first(resolved.image_count)
        if pictures is not None:
            if (why := too_large(pictures, options)) is not None:
                self._grid_notices = (why,)
                return
            grid = image_grid(pictures, resolved.request.batch_size, options)
            self._writer.picture(grid, 0, kind="grid", save=options.save)


def _itself(finished: Finished) -> Finished:
    return finished


def _split(images: range, size: int) -> Iterator[range]:
    for start in range(images.start, images.stop, size):
        yield range(start, min(start + size, images.stop))
