"""What a script works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from PIL import Image, ImageOps

from modules.catalogue.upscalers import NO_UPSCALER
from modules.features.arguments import ScriptArguments
from modules.generation.img2img import Start
from modules.generation.init_picture import InitPicture
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.resizing import Resize, flatten
from modules.parameters import RequestError, ResolvedRequest
from modules.parameters.job_options import JobOptions
from modules.pictures.grids import image_grid, too_large
from modules.pictures.opening import MOST_PIXELS
from modules.pictures.size import Size

Arguments = TypeVar("Arguments", bound=ScriptArguments)


class Over(Protocol):
    """Makes a picture from a source, or from the latents it was encoded to, as pass `number` of `of`."""

    def __call__(
        self, resolved: ResolvedRequest, source: InitPicture, number: int = 0, of: int = 1, start: Start | None = None
    ) -> Image.Image: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """The job of a script. `load` gives the engine; `pictures` and `mask` are those it starts from, as they came.

    `known` gives a picture of the job that was made before, by index, or None if it is not to be had.
    `progress(number, of)` gives the hooks of pass `number` of the `of` passes that the present picture takes. `plain`
    makes a picture as a job without a script would, `over` one from a source as pass `number` of `of`; both raise
    Interrupted rather than return half of one, as `check` does when the job, or this part of it, is to be left.
    `notices` gathers what has to be said, each sentence once, and `starts` keeps what was encoded for the next picture.
    `beside` takes what is saved beside the present picture, by the suffix of its file.
    """

    load: Callable[[], Pipeline]
    resolved: ResolvedRequest
    pictures: tuple[Image.Image, ...]
    mask: Image.Image | None
    known: Callable[[int], Image.Image | None]
    resampler: Callable[[str], Resize]
    progress: Callable[[int, int], Progress]
    plain: Callable[[ResolvedRequest], Image.Image]
    over: Over
    check: Callable[[], None]
    notices: dict[str, None] = field(default_factory=dict)
    starts: dict[int, Start] = field(default_factory=dict)
    beside: dict[str, Image.Image] = field(default_factory=dict)

    @property
    def pipeline(self) -> Pipeline:
        """The job's checkpoint, where it runs."""
        return self.load()

    def makes_grid_of(self, pictures: Sequence[Image.Image]) -> bool:
        """Whether a grid of these pictures is within what the settings allow; if not, that is said."""
        why = too_large(pictures, self.settings.grids)
        if why is not None:
            self.notices[why] = None
        return why is None

    @property
    def resize(self) -> Resize:
        """What brings pictures to the size of a pass."""
        return self.resampler(self.settings.img2img.upscaler or NO_UPSCALER)

    @property
    def settings(self) -> JobOptions:
        """The options that the job was queued with."""
        return self.resolved.settings

    def read(self, kind: type[Arguments]) -> Arguments:
        """The script's arguments, as values of this `kind`. Raises ScriptError."""
        return kind.of(self.resolved.request.scripts)

    @property
    def start(self) -> Image.Image:
        """The picture that the job starts from: upright, RGB, what was transparent on the background colour."""
        return flatten(ImageOps.exif_transpose(self.pictures[0]), self.settings.img2img.background_color)


def with_seed(resolved: ResolvedRequest, seed: int, subseed: int, size: tuple[int, int]) -> ResolvedRequest:
    """What applies to a part of a picture: the same with these added to its seeds, at `size` pixels."""
    sides = {"width": size[0], "height": size[1]}
    return resolved.model_copy(
        update={
            "request": resolved.request.model_copy(update=sides),
            "seeds": (resolved.seeds[0] + seed,),
            "subseeds": (resolved.subseeds[0] + subseed,),
        }
    )


def check_enlarged(title: str, size: Size) -> None:
    """Raises RequestError where what the script of this title would make of a picture is too large or too small."""
    if size[0] * size[1] > MOST_PIXELS:
        raise RequestError(
            f"{title}: the result would be {size[0]}x{size[1]}, more than {MOST_PIXELS // 10**6} megapixels."
        )
    if min(size) < 8:
        raise RequestError(f"{title}: the picture is too small: enlarged, each side must have 8 pixels or more.")


@dataclass(frozen=True, slots=True)
class Extra:
    """What is made of the job's pictures: a grid (`kind` names which), or an animation.

    `index` is that of the first picture it is made of. `encode` gives the bytes and the extension of a file that holds
    more than `image`, given the infotext. `facts` are infotext keys that only this picture has.
    """

    kind: str
    image: Image.Image
    index: int = 0
    facts: Mapping[str, object] = field(default_factory=dict)
    encode: Callable[[str], tuple[bytes, str]] | None = None


def job_grid(stage: Stage, pictures: Sequence[Image.Image]) -> Iterator[Extra]:
    """The grid of a plain job: in A1111's arrangement, and only of several pictures if the option says so."""
    wanted = len(pictures) > 1 or not stage.settings.grids.only_if_multiple
    if stage.resolved.request.makes_grid and wanted and stage.makes_grid_of(pictures):
        yield Extra("grid", image_grid(pictures, stage.resolved.request.batch_size, stage.settings.grids))


def plainly(stage: Stage, index: int) -> Image.Image:
    """Picture `index` as a job without a script would make it."""
    return stage.plain(stage.resolved.of_image(index))


def each_from_its_own(stage: Stage, index: int) -> Image.Image:
    """Picture `index` as a plain job would make it: of several pictures to start from each has its own."""
    resolved = stage.resolved.of_image(index)
    sources = resolved.request.init_images
    if len(sources) > 1:
        request = resolved.request.model_copy(update={"init_images": (sources[index % len(sources)],)})
        resolved = resolved.model_copy(update={"request": request})
    return stage.plain(resolved)


def _one(resolved: ResolvedRequest) -> int:
    return 1


def _saved(resolved: ResolvedRequest) -> bool:
    return True


def _nothing(stage: Stage, pictures: Sequence[Image.Image]) -> Iterable[Extra]:
    return ()


@dataclass(frozen=True, slots=True)
class Maker:
    """How a script makes its pictures: `make(stage, index)` each of them.

    `together` is how many in a row hang together: to skip one is to leave them all. `finale` is called once, for what
    is made of all the pictures: each is decoded when it is looked up, so none is to be held longer than needed.
    `saves` says whether a picture of the request is saved; else it is only shown.
    """

    make: Callable[[Stage, int], Image.Image]
    together: Callable[[ResolvedRequest], int] = field(default=_one)
    finale: Callable[[Stage, Sequence[Image.Image]], Iterable[Extra]] = field(default=_nothing)
    saves: Callable[[ResolvedRequest], bool] = field(default=_saved)
