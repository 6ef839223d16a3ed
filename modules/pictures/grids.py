"""Several pictures as one, in A1111's arrangement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageColor

from modules.parameters.output_options import GridOptions

DEFAULTS: Final = GridOptions()


def grid_shape(count: int, batch_size: int, options: GridOptions) -> tuple[int, int]:
    """Rows and columns for `count` pictures, by the options n_rows and grid_prevent_empty_spots.

    n_rows above 0 is the number of rows, 0 means one row per picture of a batch, and -1 a square: rounded, or with
    grid_prevent_empty_spots the largest number of rows up to it that leaves no cell empty.
    """
    if options.rows > 0:
        rows = options.rows
    elif options.rows == 0:
        rows = batch_size
    elif options.prevent_empty_spots:
        rows = math.isqrt(count)
        while count % rows:
            rows -= 1
    else:
        rows = round(math.sqrt(count))
    rows = max(1, min(rows, count))
    return rows, math.ceil(count / rows)


def image_grid(images: Sequence[Image.Image], batch_size: int, options: GridOptions) -> Image.Image:
    """`images` row by row on the grid's background; each cell is as large as the largest, smaller ones are centred."""
    rows, columns = grid_shape(len(images), batch_size, options)
    sizes = [image.size for image in images]
    width, height = max(width for width, _ in sizes), max(height for _, height in sizes)
    grid = Image.new("RGB", (columns * width, rows * height), rgb(options.background_color, DEFAULTS.background_color))
    for index, image in enumerate(images):
        left = index % columns * width + (width - image.width) // 2
        top = index // columns * height + (height - image.height) // 2
        grid.paste(image, (left, top))
    return grid


def too_large(pictures: Sequence[Image.Image], options: GridOptions) -> str | None:
    """Why no grid is made of these pictures, in a sentence: it would be above the option img_max_size_mp."""
    limit = options.max_megapixels
    megapixels = sum(width * height for width, height in (picture.size for picture in pictures)) / 1_000_000
    if megapixels <= limit:
        return None
    return (
        f"No grid was made: it would have {megapixels:.1f} megapixels, and the setting img_max_size_mp allows {limit}."
    )


def rgb(colour: str, default: str) -> tuple[int, ...]:
    """A colour's red, green and blue, 0..255; those of `default` where it cannot be read as one."""
    try:
        return ImageColor.getrgb(colour)[:3]
    except ValueError:
        return ImageColor.getrgb(default)[:3]
