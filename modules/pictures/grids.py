"""Several pictures as one, in A1111's arrangement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageColor

from modules.settings import OPTIONS


def grid_shape(count: int, batch_size: int, options: Mapping[str, object]) -> tuple[int, int]:
    """Rows and columns for `count` pictures, by the options n_rows and grid_prevent_empty_spots.

    n_rows above 0 is the number of rows, 0 means one row per picture of a batch, and -1 a square: rounded, or with
    grid_prevent_empty_spots the largest number of rows up to it that leaves no cell empty.
    """
    wanted = int(str(options.get("n_rows", OPTIONS["n_rows"].default)))
    if wanted > 0:
        rows = wanted
    elif wanted == 0:
        rows = batch_size
    elif options.get("grid_prevent_empty_spots", False):
        rows = math.isqrt(count)
        while count % rows:
            rows -= 1
    else:
        rows = round(math.sqrt(count))
    rows = max(1, min(rows, count))
    return rows, math.ceil(count / rows)


def image_grid(images: Sequence[Image.Image], batch_size: int, options: Mapping[str, object]) -> Image.Image:
    """`images` row by row on the grid's background; each cell is as large as the largest, smaller ones are centred."""
    rows, columns = grid_shape(len(images), batch_size, options)
    width, height = max(image.width for image in images), max(image.height for image in images)
    grid = Image.new("RGB", (columns * width, rows * height), colour_of(options, "grid_background_color"))
    for index, image in enumerate(images):
        left = index % columns * width + (width - image.width) // 2
        top = index // columns * height + (height - image.height) // 2
        grid.paste(image, (left, top))
    return grid


def too_large(pictures: Sequence[Image.Image], options: Mapping[str, object]) -> str | None:
    """Why no grid is made of these pictures, in a sentence: it would be above the option img_max_size_mp."""
    limit = int(str(options.get("img_max_size_mp", OPTIONS["img_max_size_mp"].default)))
    megapixels = sum(picture.width * picture.height for picture in pictures) / 1_000_000
    if megapixels <= limit:
        return None
    return (
        f"No grid was made: it would have {megapixels:.1f} megapixels, and the setting img_max_size_mp allows {limit}."
    )


def colour_of(options: Mapping[str, object], key: str) -> tuple[int, ...]:
    """The colour that an option says, or its default where it says none."""
    default = str(OPTIONS[key].default)
    try:
        return ImageColor.getrgb(str(options.get(key, default)))[:3]
    except ValueError:
        return ImageColor.getrgb(default)[:3]
