"""What a script works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from modules.generation.colour_correction import match_colours
from modules.generation.decoding import decode_latent, to_image
from modules.generation.finishing import finish
from modules.generation.img2img import img2img
from modules.generation.passes import Engine, Progress
from modules.generation.resizing import Resize
from modules.generation.source import Source
from modules.parameters import ResolvedRequest


@dataclass(frozen=True, slots=True)
class Stage:
    """The job of a script. `pictures` and `mask` are those it starts from, as they came.

    `known` holds the pictures of the job that exist already, by index. `progress(number, of)` gives the hooks of pass
    `number` of the `of` passes that the present picture takes; `plain` makes a picture as a job without a script
    would; `check` raises Interrupted when the job, or this part of it, is to be left. `notices` gathers what has to be
    said, each sentence once.
    """

    engine: Engine
    resolved: ResolvedRequest
    pictures: tuple[Image.Image, ...]
    mask: Image.Image | None
    known: dict[int, Image.Image]
    resampler: Callable[[str], Resize]
    progress: Callable[[int, int], Progress]
    plain: Callable[[ResolvedRequest], Image.Image]
    check: Callable[[], None]
    notices: dict[str, None] = field(default_factory=dict)

    @property
    def resize(self) -> Resize:
        """What brings pictures to the size of a pass."""
        return self.resampler(str(self.options.get("upscaler_for_img2img") or "None"))

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the job froze."""
        return self.resolved.options

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The values of the script's arguments."""
        script = self.resolved.request.script
        return {} if script is None else self.resolved.request.scripts[script.title]

    def from_picture(
        self,
        resolved: ResolvedRequest,
        source: Source,
        number: int = 0,
        of: int = 1,
        colours: Image.Image | None = None,
    ) -> Image.Image:
        """A finished picture made from `source`; colours are brought back to those of `colours` if the option says so.

        Raises Interrupted rather than return half of one.
        """
        model = self.engine.model
        self.notices.update(dict.fromkeys(source.notices))
        (latent,) = img2img(self.engine, resolved, range(1), source, self.progress(number, of))
        self.check()
        image = to_image(decode_latent(model.vae, latent, model.vae_scaling_factor))
        correct = bool(resolved.options.get("img2img_color_correction", False))
        if correct and colours is not None:
            return finish(match_colours(image, colours), source, correct_colours=False)
        return finish(image, source, correct_colours=correct)


@dataclass(frozen=True, slots=True)
class Extra:
    """What is made of the job's pictures: a grid (`kind` names which), or an animation.

    `encode` gives the bytes and the extension of a file that holds more than `image`, given the infotext. `facts` are
    infotext keys that only this picture has.
    """

    kind: str
    image: Image.Image
    facts: Mapping[str, object] = field(default_factory=dict)
    encode: Callable[[str], tuple[bytes, str]] | None = None


def _one(resolved: ResolvedRequest) -> int:
    return 1


def _nothing(stage: Stage, pictures: list[Image.Image]) -> Iterable[Extra]:
    return ()


@dataclass(frozen=True, slots=True)
class Maker:
    """How a script makes its pictures: `make(stage, index)` each of them.

    `together` is how many in a row hang together: to skip one is to leave them all. `finale` is asked once, for what
    is made of all the pictures.
    """

    make: Callable[[Stage, int], Image.Image]
    together: Callable[[ResolvedRequest], int] = field(default=_one)
    finale: Callable[[Stage, list[Image.Image]], Iterable[Extra]] = field(default=_nothing)
