"""One application of a model to a whole picture: A1111's order of colours, tiles, smaller ones when memory ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from PIL import Image

from modules.upscaling.model import PictureModel
from modules.upscaling.model_tiles import Raster, Tiling, through_tiles, tile_count
from modules.upscaling.upscaler_errors import UpscalerError

SMALLEST_TILE: Final = 64
# What one application may make of a picture: 3 bytes a pixel, twice while tiles grow together.
MOST_PIXELS: Final = 400_000_000

# Called before each tile with how many are done and how many there are; may raise to stop.
Watch = Callable[[int, int], None]


def upscale(image: Image.Image, model: PictureModel, tiling: Tiling, watch: Watch) -> Image.Image:
    """`image` `scale` times as large, as RGB.

    When the device runs out of memory, the picture is begun again with tiles of half the size. Raises UpscalerError for
    a picture that would become too large, and torch.OutOfMemoryError when the smallest tile is too large as well.
    """
    _check(image, model)
    pixels = np.asarray(image.convert("RGB" if model.channels == 3 else "L"))
    while True:
        try:
            return _image(_run(pixels, model, tiling, watch))
        except torch.OutOfMemoryError:
            smaller = _halved(tiling, max(image.size))
            if smaller is None:
                raise
        # Outside the handler, which would keep the failed tile's tensors alive.
        torch.cuda.empty_cache()
        tiling = smaller


def _check(image: Image.Image, model: PictureModel) -> None:
    width, height = image.width * model.scale, image.height * model.scale
    if width * height > MOST_PIXELS:
        raise UpscalerError(
            f"{model.name} would make {width}x{height} of a picture of {image.width}x{image.height}, more than "
            f"{MOST_PIXELS // 10**6} megapixels: make the picture smaller first, or choose Lanczos."
        )


def _run(pixels: Raster, model: PictureModel, tiling: Tiling, watch: Watch) -> Raster:
    flat = pixels.ndim == 2
    pixels = pixels[:, :, None] if flat else pixels
    total = tile_count(pixels.shape[1], pixels.shape[0], tiling)
    done = 0

    def tile(part: Raster) -> Raster:
        nonlocal done
        watch(done, total)
        done += 1
        return _tile(part, model)

    return through_tiles(pixels, tiling, model.scale, tile)


def _tile(part: Raster, model: PictureModel) -> Raster:
    # A1111 gives its upscalers blue, green, red. Most were trained on red, green, blue; the difference is small, and
    # the same picture for the same settings counts for more.
    tensor = torch.from_numpy(np.ascontiguousarray(part[:, :, ::-1])).permute(2, 0, 1)[None].float() / 255
    result = model(tensor)[0].permute(1, 2, 0).numpy()
    pixels: Raster = np.rint(result * 255).astype(np.uint8)[:, :, ::-1]
    return pixels


def _image(pixels: Raster) -> Image.Image:
    if pixels.shape[2] == 1:
        return Image.fromarray(pixels[:, :, 0]).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _halved(tiling: Tiling, longest: int) -> Tiling | None:
    size = (tiling.size or longest) // 2
    return Tiling(size, tiling.overlap) if size >= SMALLEST_TILE else None
