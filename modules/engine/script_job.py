"""A job whose pictures differ, as a script's do: made one by one, and then what is made of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from PIL import Image
from torch import Tensor

from modules.engine.control import JobControl
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job_features import InnerJobs, share_of_inner, share_of_main
from modules.engine.job_models import JobModels
from modules.engine.picture_writer import PictureWriter, size_in_bytes
from modules.engine.progress_reporter import ProgressReporter
from modules.engine.work import Pixels, Work, input_picture, open_work, picture_of, work_over
from modules.features.makers import MAKERS, PLAIN
from modules.features.stage import Stage
from modules.gallery import GRID_KINDS
from modules.generation.finishing import Finished
from modules.generation.img2img import Start
from modules.generation.init_picture import InitPicture
from modules.generation.pipeline import Progress
from modules.parameters import ResolvedRequest
from modules.protocol import RunJob
from modules.sampling import Interrupted

# Left out unless the loaded checkpoint has one.
_NO_VAE: Final[dict[str, object]] = {"VAE": None, "VAE hash": None}
# Formats in which a picture comes back as it was made.
_LOSSLESS: Final = ("png",)


class ScriptJob:
    """The running job of such pictures: which pictures there are, how far it is, and whether it should go on."""

    def __init__(
        self,
        command: RunJob,
        models: JobModels,
        pixels: Pixels,
        control: JobControl,
        writer: PictureWriter,
        reporter: ProgressReporter,
        pictures: FinishedPictures,
    ) -> None:
        script = command.resolved.request.script
        self._command = command
        self._models = models
        self._pixels = pixels
        self._control = control
        self._writer = writer
        self._reporter = reporter
        self._maker = PLAIN if script is None else MAKERS[script.title]
        self._pictures = pictures
        self._inner = InnerJobs(command, models, pixels, self._inner_progress)
        # The picture made last, as its maker made it: a loop goes on from it, and not from what Extras made of it.
        self._last: tuple[int, Image.Image] | None = None
        self._index = 0
        # Number and count of the pass whose picture is being finished, and how much of it is that pass itself.
        self._under_way = (0, 1, 1.0)
        self._stage = self._set_up()

    @property
    def notices(self) -> tuple[str, ...]:
        return (*self._stage.notices, *((self._pictures.trouble,) if self._pictures.trouble else ()))

    def run(self) -> None:
        for images in self._batches():
            if self._control.stopped:
                return
            with suppress(Interrupted):
                self._make(images)
            self._control.end_batch()
        self._finale()

    def _set_up(self) -> Stage:
        command, request = self._command, self._command.resolved.request
        inputs = dict(zip(command.inputs, command.blobs, strict=False))
        return Stage(
            load=lambda: self._models.pipeline(command.checkpoint),
            resolved=command.resolved,
            pictures=tuple(input_picture(inputs[name], "The picture") for name in request.init_images),
            mask=None if request.mask is None else input_picture(inputs[request.mask], "The mask"),
            known=self._known,
            resampler=self._pixels.resampler,
            progress=self._progress,
            plain=self._plain,
            over=self._over,
            check=self._stop_if_requested,
        )

    def _known(self, index: int) -> Image.Image | None:
        """Picture `index` as its maker made it, if it is still to be had like that."""
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        # The others are as they were saved, and that may have lost something or gone through Extras.
        lossless = self._command.resolved.settings.files.samples_format in _LOSSLESS
        features = self._models.features(self._command.resolved)
        as_made = not any(feature.changes_finished for feature in features)
        return self._pictures.open(index) if lossless and as_made else None

    def _batches(self) -> Iterator[range]:
        """The indexes of the pictures that hang together, wherever one of them is still to be made."""
        count, together = self._command.resolved.image_count, self._maker.together(self._command.resolved)
        starts = list(range(0, count, together))
        if self._command.others:
            starts.sort(key=self._first_with_its_checkpoint)
        for start in starts:
            images = range(start, min(start + together, count))
            if not set(images) <= set(self._command.done):
                yield images

    def _first_with_its_checkpoint(self, index: int) -> int:
        """Sorted by this, pictures of one checkpoint follow each other, and each is loaded once."""
        others, file = self._command.others, self._command.others.get(index, self._command.checkpoint)
        count = self._command.resolved.image_count
        return next(one for one in range(count) if others.get(one, self._command.checkpoint) == file)

    def _make(self, images: range) -> None:
        for index in images:
            if index in self._command.done:
                continue
            self._index = index
            self._models.refiner = self._command.other_refiners.get(index, self._command.refiner_checkpoint)
            self._stop_if_requested()
            self._models.begin_picture()
            self._stage.beside.clear()
            picture = self._maker.make(self._stage, index)
            self._stop_if_requested()
            self._last = index, picture
            finished = Finished(picture, dict(self._stage.beside))
            own = self._command.resolved.of_image(index)
            for feature in self._models.features(own):
                finished = feature.after_picture(finished, 0)
            # Of several checkpoints each picture names its own, as long as that is there.
            facts = _NO_VAE | self._models.present_facts() if self._command.others else {}
            shown_at = (index, 0) if self._reporter.shows_finished else None
            self._writer.finished(
                partial(_itself, finished),
                index,
                size=size_in_bytes(finished.picture),
                shown_at=shown_at,
                facts=facts | self._models.picture_facts(),
                store=self._pictures,
                save=self._maker.saves(own),
            )
            if self._control.stopped:
                return

    def _stop_if_requested(self) -> None:
        if self._control.leave_batch:
            raise Interrupted

    def _progress(self, number: int, of: int, share: float = 1.0) -> Progress:
        """The hooks of a pass, which is a share of number `number` of the `of` that a picture takes."""
        return self._counted(lambda done: (number + share * done) / of)

    def _inner_progress(self, _index: int, passes: int) -> Progress:
        """The hooks of a pass that features run over a picture, behind `passes` others."""
        number, of, main = self._under_way
        return self._counted(lambda done: (number + main + (1 - main) * share_of_inner(passes, done)) / of)

    def _counted(self, of_picture: Callable[[float], float]) -> Progress:
        index, count = self._index, self._command.resolved.image_count

        def on_step(step: int, steps: int, denoised: Tensor) -> None:
            fraction = (index + of_picture(step / steps)) / count
            self._reporter.step(index, step, steps, min(fraction, 1.0), denoised)

        return Progress(
            on_step=on_step,
            before_call=self._stop_if_requested,
            effects=self._reporter.effects,
            shown=self._reporter.shown,
        )

    def _plain(self, resolved: ResolvedRequest) -> Image.Image:
        file = self._command.others.get(self._index, self._command.checkpoint)
        command = self._command.model_copy(update={"resolved": resolved, "checkpoint": file})
        work = open_work(self._models, command, self._pixels, self._inner)
        return self._finished(work, 0, len(work.steps), share_of_main(resolved))

    def _over(
        self, resolved: ResolvedRequest, source: InitPicture, number: int = 0, of: int = 1, start: Start | None = None
    ) -> Image.Image:
        command = self._command.model_copy(update={"resolved": resolved})
        work = work_over(self._models, command, source, self._pixels, self._inner, start)
        return self._finished(work, number, of, share_of_main(resolved))

    def _finished(self, work: Work, before: int, of: int, main: float) -> Image.Image:
        """The one picture of `work`, whose first pass is number `before` of the `of` that the whole takes.

        Of the progress of its last pass `main` is that pass itself, and the rest what features do to the picture.
        """
        self._stage.notices.update(dict.fromkeys(work.notices))
        last = len(work.steps) - 1
        self._inner.begin(self._index)
        self._under_way = before + last, of, main
        (latent,) = work.latents(
            range(1), lambda number: self._progress(before + number, of, main if number == last else 1.0)
        )
        self._stop_if_requested()
        finished = work.finish(picture_of(work.pipeline, latent), 0)
        if of == len(work.steps):
            # The whole picture is this work's, and so is what it has beside it.
            self._stage.beside.update(finished.beside)
        return finished.picture

    def _finale(self) -> None:
        count, grids = self._command.resolved.image_count, self._command.resolved.settings.grids
        self._writer.wait()
        pictures = self._pictures.first(count)
        if pictures is None:
            return
        for extra in self._maker.finale(self._stage, pictures):
            save = grids.save or extra.kind not in GRID_KINDS
            if save or grids.show:
                self._writer.extra(extra, save=save)


def _itself(finished: Finished) -> Finished:
    return finished
