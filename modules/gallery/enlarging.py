"""Enlarging a finished picture without a model, as the Extras tab and its API calls do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image

from modules.gallery.metadata import PictureError
from modules.gallery.opening import MOST_PIXELS

SCALE_BY: Final = 0
SCALE_TO: Final = 1
NO_UPSCALER: Final = "None"

_RESAMPLING: Final = {"Lanczos": Image.Resampling.LANCZOS, "Nearest": Image.Resampling.NEAREST}


@dataclass(frozen=True, slots=True)
class Enlargement:
    """How to enlarge. `mode` is SCALE_BY, by `scale`, or SCALE_TO, to `width` x `height`.

    Scaling to a size keeps the proportions: with `crop` the picture covers the size and is cut, without it fits in.
    `longest_side` holds a scaled side down, 0 meaning no limit. `second` is blended in by `second_visibility`, 0 to 1.
    """

    first: str = NO_UPSCALER
    second: str = NO_UPSCALER
    second_visibility: float = 0.0
    mode: int = SCALE_BY
    scale: float = 4.0
    longest_side: int = 0
    width: int = 512
    height: int = 512
    crop: bool = True

    @property
    def note(self) -> str:
        """What is written beside the parameters, as A1111 does; empty where nothing was done."""
        if self.first == NO_UPSCALER:
            return ""
        return ", ".join(f"{key}: {value}" for key, value in self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        if self.mode == SCALE_BY:
            facts = [("Postprocess upscale by", f"{self.scale:g}")]
        else:
            facts = [("Postprocess upscale to", f"{self.width}x{self.height}")]
            if self.crop:
                facts.append(("Postprocess crop to fit", "True"))
        facts.append(("Postprocess upscaler", self.first))
        if self.blends:
            facts.append(("Postprocess upscaler 2", self.second))
        return facts

    @property
    def blends(self) -> bool:
        """Whether the second upscaler has a say."""
        return self.second != NO_UPSCALER and self.second_visibility > 0


def enlarge(image: Image.Image, asked: Enlargement) -> Image.Image:
    """`image` enlarged as `asked`. Raises PictureError for an upscaler that is not here and for too large a result."""
    result = _enlarged(image, asked, asked.first)
    if not asked.blends:
        return result
    second = _enlarged(image, asked, asked.second)
    if result.size != second.size:
        # "None" leaves the picture as it is; to be blended, both have to be of one size.
        result = result.resize(second.size, Image.Resampling.LANCZOS)
    return Image.blend(result, second, asked.second_visibility)


def target_size(size: tuple[int, int], asked: Enlargement) -> tuple[int, int]:
    """The size that a picture of `size` is enlarged to, before it is cut."""
    if asked.mode == SCALE_BY:
        factor = asked.scale
        if asked.longest_side and max(size) * factor > asked.longest_side:
            factor = asked.longest_side / max(size)
        return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
    factors = asked.width / size[0], asked.height / size[1]
    factor = max(factors) if asked.crop else min(factors)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _enlarged(image: Image.Image, asked: Enlargement, upscaler: str) -> Image.Image:
    if upscaler == NO_UPSCALER:
        return image
    if upscaler not in _RESAMPLING:
        raise PictureError(f"The upscaler {upscaler[:80]!r} is not here; choose one of the list.")
    size = target_size(image.size, asked)
    if size[0] * size[1] > MOST_PIXELS:
        raise PictureError(f"The result would be {size[0]}x{size[1]}: more than {MOST_PIXELS // 10**6} megapixels.")
    larger = image.resize(size, _RESAMPLING[upscaler])
    if asked.mode == SCALE_TO and asked.crop:
        left, top = (size[0] - asked.width) // 2, (size[1] - asked.height) // 2
        return larger.crop((left, top, left + asked.width, top + asked.height))
    return larger
