"""What a job's mode means: which passes make its latents, and how a decoded picture is finished."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import torch
from PIL import Image, ImageOps
from torch import Tensor

from modules.catalogue.refusals import hires_refusal
from modules.catalogue.upscalers import NO_UPSCALER
from modules.engine.face_restoration import FaceRestoration, face_restoration_for
from modules.engine.upscalers import UpscalerKeeper
from modules.generation.decoding import to_image
from modules.generation.finishing import Finished, finished
from modules.generation.hires import LATENT_MODES, FirstPass, decoded, hires_pass
from modules.generation.img2img import Start, img2img, start_of_each
from modules.generation.init_picture import InitPicture, prepare_init_picture
from modules.generation.pipeline import InnerJob, JobFeature, Pipeline, Progress, mask_hook
from modules.generation.resizing import Resize, flatten, lanczos
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError, ResolvedRequest
from modules.parameters.job_options import UpscalingOptions
from modules.pictures.enlarging import resize_to
from modules.pictures.opening import PictureError, open_picture
from modules.pictures.size import Size
from modules.protocol import CheckpointFile, RunJob
from modules.sampling import Interrupted, img2img_steps

# The side in cells of latents that only stand for pictures which go on as they are.
_UNSEEN: Final = 8

# Gives the hooks of the n-th pass, n counting from 0.
ProgressOf = Callable[[int], Progress]


class Checkpoints(Protocol):
    """The checkpoints of a job, one at a time."""

    def pipeline(self, file: CheckpointFile) -> Pipeline:
        """The pipeline with this checkpoint loaded; the one before, of another checkpoint, is then gone."""
        ...

    def present(self) -> Pipeline:
        """The pipeline of the checkpoint that is loaded now: of the refiner, if that ended a pass."""
        ...

    def features(self, resolved: ResolvedRequest) -> Sequence[JobFeature]:
        """What the features of a request do in the job."""
        ...


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixel upscalers of a job. `stopped` says whether the batch under way should be left."""

    upscalers: UpscalerKeeper
    options: UpscalingOptions
    stopped: Callable[[], bool]

    def resampler(self, upscaler: str) -> Resize:
        """What brings pictures to a size with that upscaler. Latent ones need none.

        Raises RequestError for a name that is not there.
        """
        if upscaler in LATENT_MODES:
            return lanczos
        once = self.upscalers.once(upscaler, self.options, self._watch)

        def resize(image: Image.Image, size: Size) -> Image.Image:
            try:
                return resize_to(image.convert("RGB"), size, once)
            except Interrupted:
                # The pass that follows is not begun either, so any picture of that size will do.
                return lanczos(image, size)
            except PictureError as error:
                raise RequestError(str(error)) from error

        return resize

    def _watch(self, done: int, total: int) -> None:
        if self.stopped():
            raise Interrupted


class Work(Protocol):
    """The making of a job's pictures. `steps` are those of each of its passes, `pipeline` made the latest latents.

    `apart` says that pictures can be finished on another thread than that of the steps: no face restorer computes, and
    no feature uses the device.
    `facts` is what only the work knows for the infotext; `init_pictures` those it starts from, if they are to be saved.
    """

    @property
    def steps(self) -> tuple[int, ...]: ...

    @property
    def pipeline(self) -> Pipeline: ...

    @property
    def apart(self) -> bool: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    @property
    def facts(self) -> Mapping[str, object]: ...

    @property
    def init_pictures(self) -> tuple[Image.Image, ...]: ...

    def latents(self, images: range, progress: ProgressOf) -> Tensor:
        """Finished latents of the images with these indexes."""
        ...

    def finish(self, picture: Image.Image, index: int) -> Finished:
        """What was decoded from the latent of image `index`, as it is saved, and what goes beside it."""
        ...


def open_work(checkpoints: Checkpoints, command: RunJob, pixels: Pixels, inner: InnerJob) -> Work:
    """The work of a job, whose features run passes of their own with `inner`.

    Raises RequestError when what it needs is missing or cannot be used.
    """
    inputs = dict(zip(command.inputs, command.blobs, strict=False))
    if command.resolved.request.mode == "img2img":
        return _from_inputs(checkpoints, command, inputs, pixels, inner)
    return _FromNoise(checkpoints, command, inputs, pixels, inner)


def picture_of(pipeline: Pipeline, latent: Tensor) -> Image.Image:
    """The picture of one latent that `pipeline` made. Raises VaeOverflow."""
    return to_image(pipeline.codec.decode(pipeline.model, latent))


def work_over(
    checkpoints: Checkpoints,
    command: RunJob,
    source: InitPicture,
    pixels: Pixels,
    inner: InnerJob,
    start: Start | None = None,
) -> Work:
    """The work of a pass over a picture that is prepared already, and maybe encoded."""
    faces = face_restoration_for(command.resolved, pixels.upscalers.faces)
    return _FromPictures(checkpoints, command, (source,), _Decoded(checkpoints, command, faces, inner), start=start)


class _Decoded:
    """What is done to the decoded pictures of a work: faces are restored, then its features have their turn."""

    def __init__(self, checkpoints: Checkpoints, command: RunJob, faces: FaceRestoration, inner: InnerJob) -> None:
        self._features = checkpoints.features(command.resolved)
        self._faces = faces
        self._inner = inner
        self.mask = mask_hook(self._features)
        self.skips_passes = any(feature.skips_passes for feature in self._features)
        self.notices = faces.notices
        self.facts = faces.facts
        self.apart = not faces.name and all(feature.apart for feature in self._features)

    def __call__(self, picture: Image.Image, index: int) -> Finished:
        """Image `index` as it goes on, and what is saved beside it."""
        decoded = Finished(*self._faces(picture))
        for feature in self._features:
            decoded = feature.after_decode(decoded, index, self._inner)
        return decoded


def _from_inputs(
    checkpoints: Checkpoints, command: RunJob, inputs: Mapping[str, bytes], pixels: Pixels, inner: InnerJob
) -> Work:
    resolved = command.resolved
    request, settings = resolved.request, resolved.settings
    if not request.init_images:
        raise RequestError("img2img needs a picture to start from, and none was given.")
    pictures = tuple(input_picture(inputs[name], "The picture") for name in request.init_images)
    mask = None if request.mask is None else input_picture(inputs[request.mask], "The mask")
    resize = pixels.resampler(settings.img2img.upscaler or NO_UPSCALER)
    faces = face_restoration_for(resolved, pixels.upscalers.faces)
    after = _Decoded(checkpoints, command, faces, inner)
    rounded = request.mask_round and after.mask is None
    if after.skips_passes and mask is None:
        background = settings.img2img.background_color
        sources = tuple(InitPicture(flatten(ImageOps.exif_transpose(one), background)) for one in pictures)
    else:
        sources = tuple(prepare_init_picture(resolved, one, mask, resize, rounded=rounded) for one in pictures)
    return _FromPictures(checkpoints, command, sources, after, pictures if settings.saved.init_img else ())


class _FromNoise:
    """txt2img, with a hires pass if the request has one; or that pass alone, over a finished picture."""

    init_pictures: tuple[Image.Image, ...] = ()

    def __init__(
        self,
        checkpoints: Checkpoints,
        command: RunJob,
        inputs: Mapping[str, bytes],
        pixels: Pixels,
        inner: InnerJob,
    ) -> None:
        request = command.resolved.request
        self._checkpoints = checkpoints
        self._command = command
        self._resolved = command.resolved
        self._before: dict[int, Image.Image] = {}
        self.pipeline = checkpoints.pipeline(command.checkpoint)
        self._first: Image.Image | None = None
        faces = face_restoration_for(command.resolved, pixels.upscalers.faces)
        self._decoded = _Decoded(checkpoints, command, faces, inner)
        self.apart = self._decoded.apart
        self.notices = self._decoded.notices
        self.facts = self._decoded.facts
        self.steps: tuple[int, ...] = tuple(one.steps for one in command.resolved.passes)
        if not request.enable_hr:
            return
        self._resize = pixels.resampler(request.hr_upscaler)
        if request.firstpass_image is not None:
            self._first = _first_picture(command.resolved, inputs)
            self.steps = self.steps[1:]

    def latents(self, images: range, progress: ProgressOf) -> Tensor:
        request = self._resolved.request
        self.pipeline = self._checkpoints.pipeline(self._command.checkpoint)
        if self._first is not None:
            first = FirstPass.of_picture(self.pipeline, self._first, request.hr_upscaler, len(images))
            return self._hires(images, first, progress(0))
        latents = txt2img(self.pipeline, self._resolved, images, progress(0))
        self.pipeline = self._checkpoints.present()
        if not request.enable_hr:
            return latents
        try:
            progress(1).before_call()
        except Interrupted:
            return latents
        if self._resolved.settings.saved.before_highres_fix:
            self._before |= zip(images, decoded(self.pipeline, latents), strict=True)
        return self._hires(images, FirstPass.of(self.pipeline, latents, request.hr_upscaler), progress(1))

    def _hires(self, images: range, first: FirstPass, progress: Progress) -> Tensor:
        file = self._command.hires_checkpoint or self._command.checkpoint
        began = self.pipeline.model.family
        self.pipeline = self._checkpoints.pipeline(file)
        if first.latents is not None and (why := hires_refusal(began, self.pipeline.model.family)) is not None:
            raise RequestError(why)
        latents = hires_pass(self.pipeline, self._resolved, images, first, progress, self._resize)
        self.pipeline = self._checkpoints.present()
        return latents

    def finish(self, picture: Image.Image, index: int) -> Finished:
        decoded = self._decoded(picture, index)
        before = self._before.pop(index, None)
        return decoded if before is None else replace(decoded, beside={"before-highres-fix": before, **decoded.beside})


class _FromPictures:
    """img2img and inpainting; with several sources each image of a batch has its own."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        command: RunJob,
        sources: tuple[InitPicture, ...],
        decoded: _Decoded,
        init_pictures: tuple[Image.Image, ...] = (),
        start: Start | None = None,
    ) -> None:
        resolved = command.resolved
        request = resolved.request
        self._checkpoints = checkpoints
        self._file = command.checkpoint
        self.pipeline = checkpoints.pipeline(self._file)
        self._resolved = resolved
        self._sources = sources
        self._start = start
        self._masks: dict[int, Image.Image] = {}
        self._decoded = decoded
        self.notices = (*dict.fromkeys(notice for source in sources for notice in source.notices), *decoded.notices)
        exact = resolved.settings.sampling.img2img_fix_steps
        self.steps = (img2img_steps(request.steps, request.denoising_strength, exact=exact)[1] + 1,)
        self.init_pictures = init_pictures
        self.apart = decoded.apart
        self.facts = decoded.facts
        if init_pictures:
            # Of several A1111 names the last.
            self.facts = {**decoded.facts, "Init image hash": _md5(init_pictures[-1])}

    def latents(self, images: range, progress: ProgressOf) -> Tensor:
        self.pipeline = self._checkpoints.pipeline(self._file)
        if self._decoded.skips_passes:
            # What is decoded from them is not looked at.
            return torch.zeros(len(images), self.pipeline.model.latent_channels, _UNSEEN, _UNSEEN)
        start = self._start or start_of_each(self.pipeline, self._resolved, images, self._sources)
        latents = img2img(self.pipeline, self._resolved, images, self._source(images.start), progress(0), start)
        self.pipeline = self._checkpoints.present()
        if start.soft is not None and start.painted is not None:
            size = (self._resolved.request.width, self._resolved.request.height)
            painted = start.painted.expand(len(images), 1, *latents.shape[2:])[:, 0]
            for index, share, before, after in zip(images, painted, start.latent, latents, strict=True):
                if self._source(index).overlay_mask is not None:
                    self._masks[index] = start.soft.overlay_mask(share, before, after, self._source(index), size)
        return latents

    def _source(self, index: int) -> InitPicture:
        return self._sources[index % len(self._sources)]

    def finish(self, picture: Image.Image, index: int) -> Finished:
        source = self._source(index)
        decoded = self._decoded(source.picture if self._decoded.skips_passes else picture, index)
        result = finished(decoded.picture, source, self._resolved.settings, self._masks.pop(index, None))
        return replace(decoded, picture=result.picture, beside={**decoded.beside, **result.beside})


def _md5(picture: Image.Image) -> str:
    return hashlib.md5(picture.tobytes(), usedforsecurity=False).hexdigest()


def _first_picture(resolved: ResolvedRequest, inputs: Mapping[str, bytes]) -> Image.Image:
    """The finished picture that a hires pass goes on from, at the size that counts as the first pass's."""
    request = resolved.request
    picture = input_picture(inputs[str(request.firstpass_image)], "The picture")
    picture = flatten(picture, resolved.settings.img2img.background_color)
    size = (request.width, request.height)
    return picture if picture.size == size else lanczos(picture, size)


def input_picture(data: bytes, what: str) -> Image.Image:
    """Decode `data`, refused before decoding if too large. Raises RequestError naming `what`."""
    try:
        return open_picture(data, what)
    except PictureError as error:
        raise RequestError(str(error)) from error
