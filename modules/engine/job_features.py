"""The features of a job's requests, made once each, and the passes that they run over finished pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from PIL import Image

from modules.engine.faces import RestoreFaces
from modules.engine.job_models import JobModels
from modules.engine.upscalers import UpscalerKeeper
from modules.engine.work import Pixels, input_picture, picture_of, work_over
from modules.families import Family
from modules.features.running import FeatureJob
from modules.features.runs import features_for
from modules.features.shared import OnDevice, SharedCache
from modules.generation.init_picture import InitPicture
from modules.generation.pipeline import JobFeature, Progress
from modules.parameters import ResolvedRequest
from modules.parameters.job_options import UpscalingOptions
from modules.pictures import PictureError
from modules.pictures.cropping import FaceBox
from modules.pictures.enlarging import Once
from modules.protocol import CheckpointFile, RunJob, inner_key
from modules.sampling import Interrupted

# A grid may have thousands of cells with requests of their own. Beside those of a picture there are those of the passes
# that its features run.
_MOST_MADE: Final = 8


class EnginePictureModels:
    """The upscalers and face restorers of this process, for features. `leave` says whether to stop between tiles."""

    def __init__(self, upscalers: UpscalerKeeper, options: UpscalingOptions, leave: Callable[[], bool]) -> None:
        self._upscalers = upscalers
        self._options = options
        self._leave = leave
        self._restorers: dict[tuple[str, float], RestoreFaces] = {}

    def upscaler(self, name: str) -> Once:
        """One application of an upscaler. Raises RequestError where it is not here, PictureError for "None"."""
        once = self._upscalers.once(name, self._options, self._watch)
        if once is None:
            raise PictureError(f"The upscaler {name!r} leaves a picture as it is.")
        return once

    def restorer(self, name: str, weight: float) -> RestoreFaces:
        """What restores faces. Raises RequestError where a file is missing."""
        key = name, weight
        if key not in self._restorers:
            self._restorers[key] = self._upscalers.faces.restorer_for(name, weight)
        return self._restorers[key]

    def boxes(self, image: Image.Image) -> list[FaceBox]:
        """Where faces are."""
        return self._upscalers.faces.boxes(image)

    def _watch(self, done: int, total: int) -> None:
        if self._leave():
            raise Interrupted


class JobFeatures:
    """The features of one job, made once for each request in it as long as few others come between."""

    def __init__(
        self, command: RunJob, upscalers: UpscalerKeeper, pixels: Pixels, shared: SharedCache, on_device: OnDevice
    ) -> None:
        """What features make for later jobs too is in `shared`; `on_device` has their networks compute."""
        self._inputs: Mapping[str, bytes] = dict(zip(command.inputs, command.blobs, strict=False))
        self._folders = upscalers.folders
        self._files = command.feature_files
        self._shared = shared
        self._pixels = pixels
        self._on_device = on_device
        self._models = EnginePictureModels(upscalers, pixels.options, pixels.stopped)
        self._made: deque[tuple[ResolvedRequest, tuple[JobFeature, ...]]] = deque(maxlen=_MOST_MADE)
        self._notices: dict[str, None] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        return tuple(self._notices)

    def __call__(self, resolved: ResolvedRequest) -> tuple[JobFeature, ...]:
        """Those of a request. Raises RequestError for what one of them can't do."""
        if not resolved.request.scripts:
            return ()
        for made_for, features in self._made:
            if made_for == resolved:
                return features
        job = FeatureJob(
            resolved,
            self._picture,
            self._pixels.resampler,
            self._models,
            self._folders,
            self._on_device,
            self._files,
            self._shared,
            self._pixels.stopped,
            self._notice,
        )
        self._made.append((resolved, features_for(job)))
        return self._made[-1][1]

    def _picture(self, name: str) -> Image.Image:
        return input_picture(self._inputs[name], "The picture")

    def _notice(self, text: str) -> None:
        self._notices[text] = None


class InnerJobs:
    """Runs the passes of features over finished pictures, with their own checkpoints where they have them."""

    def __init__(
        self, command: RunJob, models: JobModels, pixels: Pixels, progress: Callable[[int, int], Progress]
    ) -> None:
        """`progress` gives the hooks of a pass over the finished picture of an image of the job: called with its
        index and how many passes there were over it before.
        """
        self._command = command
        self._models = models
        self._pixels = pixels
        self._progress = progress
        self._index = self._passes = 0
        variants = command.resolved.variants
        of_images = {inner_key(variants[i].checkpoint, variants[i].vae): file for i, file in command.others.items()}
        self._files = {**of_images, **command.inner_checkpoints}

    def begin(self, index: int) -> None:
        """The passes that follow are over that image of the job."""
        self._index, self._passes = index, 0

    def family(self, resolved: ResolvedRequest) -> Family:
        """The family of the checkpoint that makes the pictures of `resolved`, which is loaded for that."""
        return self._models.pipeline(self._file(resolved)).model.family

    def _file(self, resolved: ResolvedRequest) -> CheckpointFile:
        return self._files.get(inner_key(resolved.checkpoint, resolved.vae), self._command.checkpoint)

    def __call__(self, resolved: ResolvedRequest, source: InitPicture) -> Image.Image:
        """The finished picture of image 0 of `resolved`. Raises Interrupted."""
        if self._pixels.stopped():
            raise Interrupted
        command = self._command.model_copy(update={"resolved": resolved, "checkpoint": self._file(resolved)})
        work = work_over(self._models, command, source, self._pixels, inner=self)
        (latent,) = work.latents(range(1), partial(_same, self._progress(self._index, self._passes)))
        self._passes += 1
        if self._pixels.stopped():
            raise Interrupted
        return work.finish(picture_of(work.pipeline, latent), 0).picture


def share_of_main(resolved: ResolvedRequest) -> float:
    """How much of a picture's progress its own passes are.

    As much as of the work that is planned, a pass over the finished picture once each; whether there will be none of
    them, or ten, nobody knows before it is finished.
    """
    own = _work(resolved)
    inner = sum(
        _work(resolved.inner_job(title, number, 0))
        for title, ones in resolved.inner.items()
        for number in range(len(ones))
    )
    return own / (own + inner) if inner else 1.0


def _work(resolved: ResolvedRequest) -> float:
    """Steps times pixels."""
    return sum(
        one.steps * (1.0 if one.strength is None or one.exact_steps else one.strength) * one.size[0] * one.size[1]
        for one in resolved.passes
    )


def share_of_inner(number: int, done: float) -> float:
    """How much of what is left then has been made, 0..1, while of pass `number` over the picture `done` is.

    Each takes half of what those before it have left: it always goes on, whatever comes.
    """
    return 1 - 0.5**number * (1 - done / 2)


def _same(progress: Progress, number: int) -> Progress:
    return progress
