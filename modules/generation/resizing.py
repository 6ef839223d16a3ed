"""A1111's ways to bring a picture to a size: stretch, cover and crop, or fit and fill the borders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PIL import Image

from modules.parameters import RequestError
from modules.pictures.opening import MOST_PIXELS
from modules.pictures.size import Size

# Brings an RGB picture to an exact size; pixel upscalers stand behind it where one is chosen.
Resize = Callable[[Image.Image, Size], Image.Image]

JUST_RESIZE: Final = 0
CROP_AND_RESIZE: Final = 1
RESIZE_AND_FILL: Final = 2
LATENT_UPSCALE: Final = 3


def lanczos(image: Image.Image, size: Size) -> Image.Image:
    """Plain resampling, what A1111 uses where no upscaler is chosen."""
    return image.resize(size, Image.Resampling.LANCZOS)


def enlarged_by(resize: Resize, image: Image.Image, size: Size) -> Image.Image:
    """`image` at `size` by `resize` if that is larger in any direction; else resampled, as A1111 spares upscalers."""
    grows = size[0] > image.width or size[1] > image.height
    return resize(image, size) if grows else lanczos(image, size)


def resize_image(mode: int, image: Image.Image, size: Size, resize: Resize = lanczos) -> Image.Image:
    """`image` at `size` (width, height) by A1111's resize mode: 0 stretched, 1 cropped, 2 fitted and filled up.

    Raises RequestError for a strip that would be enlarged beyond measure before it is cropped.
    """
    if mode == JUST_RESIZE:
        return enlarged_by(resize, image, size)
    if mode == CROP_AND_RESIZE:
        whole = _scaled(image.size, size, cover=True)
        check_strip(image.size, whole)
        return _centred(enlarged_by(resize, image, whole), size)
    return _filled(enlarged_by(resize, image, _scaled(image.size, size, cover=False)), size)


def check_strip(have: Size, whole: Size) -> None:
    """Raise RequestError where a picture of `have` that is scaled by its shorter side would have more pixels, as a
    `whole`, than pictures may have.
    """
    if whole[0] * whole[1] > MOST_PIXELS:
        raise RequestError(
            f"A picture of {have[0]}x{have[1]} would be enlarged to {whole[0]}x{whole[1]}, more than "
            f"{MOST_PIXELS // 10**6} megapixels: cut it to a less narrow shape, or choose another resize mode."
        )


def _scaled(have: Size, want: Size, *, cover: bool) -> Size:
    """`have` scaled in proportion to cover `want`, or to fit into it. Sides are cut to whole pixels."""
    wider = want[0] / want[1] > have[0] / have[1]
    if wider == cover:
        return want[0], max(1, have[1] * want[0] // have[0])
    return max(1, have[0] * want[1] // have[1]), want[1]


def _offset(inner: Size, outer: Size) -> tuple[int, int]:
    return outer[0] // 2 - inner[0] // 2, outer[1] // 2 - inner[1] // 2


def _centred(image: Image.Image, size: Size) -> Image.Image:
    canvas = Image.new("RGB", size)
    canvas.paste(image, _offset(image.size, size))
    return canvas


def _filled(image: Image.Image, size: Size) -> Image.Image:
    """`image` centred, the borders filled with its edge rows or columns drawn out."""
    canvas = _centred(image, size)
    left, top = _offset(image.size, size)
    width, height = image.size
    if top > 0:
        canvas.paste(image.resize((size[0], top), box=(0, 0, width, 0)), (0, 0))
        below = top + height
        canvas.paste(image.resize((size[0], top), box=(0, height, width, height)), (0, below))
    elif left > 0:
        canvas.paste(image.resize((left, size[1]), box=(0, 0, 0, height)), (0, 0))
        canvas.paste(image.resize((left, size[1]), box=(width, 0, width, height)), (left + width, 0))
    return canvas


def flatten(image: Image.Image, background: str) -> Image.Image:
    """`image` as RGB, its transparent parts on a background colour such as `#ffffff`."""
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, background)
        # Pasted, not composited: the two round differently, and A1111 pastes.
        ground.paste(image, mask=image)
        return ground.convert("RGB")
    return image.convert("RGB")
