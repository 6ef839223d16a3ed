"""The operations of Extras on one picture, in A1111's order: enlarge, faces, split, crop, mirror."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from modules.parameters.extras_request import ExtrasRequest
from modules.pictures.cropping import FaceBox, auto_crop, flipped, focal_crop, split_oversized
from modules.pictures.enlarging import Once, enlarged, enlarging_facts, plain
from modules.pictures.opening import PictureError

# An ImageReady's kind of the first result of a picture, as of every picture of a job.
FIRST: Final = "image"
# Where the files of face restorers belong, below models/.
FOLDERS: Final = {"GFPGAN": "GFPGAN", "CodeFormer": "Codeformer"}


def no_restorer(name: str, image: Image.Image, weight: float) -> Image.Image:
    """Where nothing can restore faces."""
    raise PictureError(f"{name} is not here: put its file into models/{FOLDERS[name]}.")


@dataclass(frozen=True, slots=True)
class Tools:
    """What needs models: an upscaler by name, a face restorer (name, picture, weight), and where faces are."""

    upscaler: Callable[[str], Once] = plain
    restore: Callable[[str, Image.Image, float], Image.Image] = no_restorer
    faces: Callable[[Image.Image], Sequence[FaceBox]] = field(default=lambda image: ())


@dataclass(frozen=True, slots=True)
class Result:
    """The pictures that one became, by their kind, and what is written into them."""

    pictures: tuple[tuple[str, Image.Image], ...]
    facts: dict[str, str]
    notices: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """The text of the PNG chunk `postprocessing`; empty where nothing was done that is recorded."""
        return ", ".join(f"{key}: {value}" for key, value in self.facts.items())


def postprocess(image: Image.Image, wanted: ExtrasRequest, tools: Tools) -> Result:
    """What becomes of `image`, RGB or RGBA. Raises PictureError with one sentence."""
    alpha = image.getchannel("A") if image.mode == "RGBA" and wanted.transparency else None
    facts = enlarging_facts(image.size, wanted)
    worked = enlarged(image.convert("RGB"), wanted, tools.upscaler)
    for name, visibility in wanted.restorers.items():
        restored = tools.restore(name, worked, wanted.codeformer_weight)
        worked = Image.blend(worked, restored, visibility)
        facts[f"{name} visibility"] = f"{visibility:g}"
        if name == "CodeFormer":
            facts["CodeFormer weight"] = f"{wanted.codeformer_weight:g}"
    if alpha is not None:
        without = wanted.model_copy(
            update={"upscaler_1": "Lanczos" if wanted.upscalers else "None", "upscaler_2": "None"}
        )
        worked.putalpha(enlarged(alpha, without))
    pictures, notices = _cut(worked, wanted, tools)
    kinds = [FIRST, *(f"part-{number}" for number in range(2, len(pictures) + 1))]
    whole = list(zip(kinds, pictures, strict=True))
    mirrored = [
        (how.lower() if kind == FIRST else f"{kind}-{how.lower()}", flipped(picture, how))
        for kind, picture in whole
        for how in wanted.flips
    ]
    return Result((*whole, *mirrored), facts, notices)


def _cut(image: Image.Image, wanted: ExtrasRequest, tools: Tools) -> tuple[list[Image.Image], tuple[str, ...]]:
    size = wanted.upscaling_resize_w, wanted.upscaling_resize_h
    pictures: list[Image.Image] = [image]
    notices: tuple[str, ...] = ()
    if wanted.split is not None:
        pictures = split_oversized(image, size, wanted.split)
    if wanted.focal_crop is not None:
        pictures = [focal_crop(one, size, wanted.focal_crop, tools.faces(one)) for one in pictures]
    if wanted.auto_crop is not None:
        fitted = [auto_crop(one, wanted.auto_crop) for one in pictures]
        if None in fitted:
            notices = ("Auto-sized crop left a picture as it is: no size within its limits has such proportions.",)
        pictures = [new or old for new, old in zip(fitted, pictures, strict=True)]
    return pictures, notices
