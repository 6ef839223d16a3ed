"""How far a picture grows on each side."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from PIL import Image

from modules.generation.masking import Box
from modules.parameters import RequestError
from modules.pictures.opening import MOST_PIXELS
from modules.pictures.size import Size


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels added to each side."""

    left: int = 0
    right: int = 0
    up: int = 0
    down: int = 0

    def of(self, side: str) -> int:
        """Those of one side by its name."""
        return int(getattr(self, side))

    def grown(self, size: Size) -> Size:
        """`size` with the margins around it."""
        return size[0] + self.left + self.right, size[1] + self.up + self.down

    def inner(self, size: Size) -> Box:
        """Where the picture of `size` lies in the grown one."""
        return self.left, self.up, self.left + size[0], self.up + size[1]

    def around(self, picture: Image.Image, mode: str = "RGB") -> Image.Image:
        """`picture` on black with the margins around it."""
        canvas = Image.new(mode, self.grown(picture.size))
        canvas.paste(picture, (self.left, self.up))
        return canvas


def margins(size: Size, pixels: int, sides: Collection[str], multiple: int = 64) -> Margins:
    """`pixels` on each of these sides, with what it takes for a grown length to be a multiple; that is shared out.

    As A1111 v1.10.1; only a length that does not grow is left as it is. Raises RequestError for a huge result.
    """
    left, right = _shares(size[0], pixels * ("left" in sides), pixels * ("right" in sides), multiple)
    up, down = _shares(size[1], pixels * ("up" in sides), pixels * ("down" in sides), multiple)
    found = Margins(left, right, up, down)
    width, height = found.grown(size)
    if width * height > MOST_PIXELS:
        raise RequestError(f"The picture would grow to {width}x{height}, more than {MOST_PIXELS // 10**6} megapixels.")
    return found


def _shares(length: int, before: int, after: int, multiple: int) -> tuple[int, int]:
    added = math.ceil((length + before + after) / multiple) * multiple - length
    if not before + after:
        return 0, 0
    first = before * added // (before + after)
    return first, added - first
