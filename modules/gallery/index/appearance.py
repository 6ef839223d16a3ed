"""How a picture looks, in few bytes: a hash of its shapes and its mean colours.

The hash is a difference hash of 64 bits: of a picture in grey, scaled to 9 by 8 pixels, whether each pixel is brighter
than the one to its right. Colours are the means of a grid of 4 by 4 fields in RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from modules.pictures.opening import BROKEN, MOST_PIXELS, read_header

FIELDS: Final = 4


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a picture looks; `shapes` is a signed integer of 64 bits, `colours` are 48 bytes as hexadecimal digits."""

    shapes: int
    colours: str


def appearance_of(path: Path) -> Appearance | None:
    """How a picture file looks; None where it can't be decoded, or not within 64 megapixels."""
    try:
        with read_header(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            image.draft("RGB", (256, 256))
            image.thumbnail((256, 256), Image.Resampling.BOX)
            small = ImageOps.exif_transpose(image).convert("RGB")
    except BROKEN:
        return None
    grey = np.asarray(small.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits((grey[:, :-1] > grey[:, 1:]).ravel())
    colours = np.asarray(small.resize((FIELDS, FIELDS), Image.Resampling.BOX), dtype=np.uint8)
    return Appearance(int(bits.view(">i8")[0]), colours.tobytes().hex())
