"""What a job's mode means: which passes make its latents, and how a decoded picture is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from PIL import Image
from torch import Tensor

from modules.gallery.metadata import PictureError
from modules.gallery.opening import open_picture as gallery_picture
from modules.generation.finishing import finish
from modules.generation.hires import LATENT_MODES, hires_pass
from modules.generation.img2img import img2img
from modules.generation.passes import Engine, Progress
from modules.generation.resizing import Resize, lanczos
from modules.generation.source import Source, prepare_source
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError, ResolvedRequest
from modules.protocol import RunJob
from modules.sampling import img2img_steps

# Gives the hooks of the n-th pass, n counting from 0.
ProgressOf = Callable[[int], Progress]

_RESAMPLERS: Final[dict[str, Resize]] = {
    "None": lanczos,
    "Lanczos": lanczos,
    "Nearest": lambda image, size: image.resize(size, Image.Resampling.NEAREST),
}


class Work(Protocol):
    """The making of a job's pictures. `steps` are those of each of its passes."""

    @property
    def steps(self) -> tuple[int, ...]: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    def latents(self, images: range, progress: ProgressOf) -> Tensor:
        """Finished latents of the images with these indexes."""
        ...

    def finish(self, image: Image.Image) -> Image.Image:
        """The decoded picture as it is saved."""
        ...


def open_work(engine: Engine, command: RunJob) -> Work:
    """The work of a job. Raises RequestError when what it needs is missing or cannot be used."""
    resolved = command.resolved
    if resolved.request.mode == "img2img":
        return _FromPicture(engine, resolved, _source(resolved, dict(zip(command.inputs, command.blobs, strict=False))))
    return _FromNoise(engine, resolved)


class _FromNoise:
    """txt2img, with a hires pass if asked."""

    def __init__(self, engine: Engine, resolved: ResolvedRequest) -> None:
        request = resolved.request
        self._engine = engine
        self._resolved = resolved
        self.steps: tuple[int, ...] = (request.steps,)
        self.notices: tuple[str, ...] = ()
        if request.enable_hr:
            self._resize = resampler(request.hr_upscaler)
            self.steps = (request.steps, request.hr_second_pass_steps or request.steps)

    def latents(self, images: range, progress: ProgressOf) -> Tensor:
        first = txt2img(self._engine, self._resolved, images, progress(0))
        if not self._resolved.request.enable_hr:
            return first
        return hires_pass(self._engine, self._resolved, images, first, progress(1), self._resize)

    def finish(self, image: Image.Image) -> Image.Image:
        return image


@dataclass(slots=True)
class _FromPicture:
    """img2img and inpainting."""

    _engine: Engine
    _resolved: ResolvedRequest
    _source: Source

    @property
    def steps(self) -> tuple[int, ...]:
        request = self._resolved.request
        exact = bool(self._resolved.options.get("img2img_fix_steps", False))
        return (img2img_steps(request.steps, request.denoising_strength, exact=exact)[1] + 1,)

    @property
    def notices(self) -> tuple[str, ...]:
        return self._source.notices

    def latents(self, images: range, progress: ProgressOf) -> Tensor:
        return img2img(self._engine, self._resolved, images, self._source, progress(0))

    def finish(self, image: Image.Image) -> Image.Image:
        correct = bool(self._resolved.options.get("img2img_color_correction", False))
        return finish(image, self._source, correct_colours=correct)


def resampler(upscaler: str) -> Resize:
    """The pixel upscaler of that name. Latent ones need none. Raises RequestError for a name that is not there."""
    if upscaler in LATENT_MODES:
        return lanczos
    if upscaler not in _RESAMPLERS:
        raise RequestError(f"The upscaler {upscaler!r} is not here; choose one of the list.")
    return _RESAMPLERS[upscaler]


def _source(resolved: ResolvedRequest, inputs: Mapping[str, bytes]) -> Source:
    request = resolved.request
    if not request.init_images:
        raise RequestError("img2img needs a picture to start from, and none was given.")
    picture = open_picture(inputs[request.init_images[0]], "The picture")
    mask = None if request.mask is None else open_picture(inputs[request.mask], "The mask")
    upscaler = str(resolved.options.get("upscaler_for_img2img") or "None")
    return prepare_source(resolved, picture, mask, resampler(upscaler))


def open_picture(data: bytes, what: str) -> Image.Image:
    """Decode `data`, refused before decoding if too large. Raises RequestError naming `what`."""
    try:
        return gallery_picture(data, what)
    except PictureError as error:
        raise RequestError(str(error)) from error
