"""Outpaint: the canvas grows, what is new is filled from the edges, and windows of one pass's size are inpainted.

Ours. Where A1111's scripts draw a picture of any size in one pass, or tile by tile without looking at the neighbours,
each window here sees what was painted before it and as much of the picture as a pass holds. Outside the blurred seam
the picture's own bits stay.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter

from modules.features.margins import Margins, margins
from modules.features.outpaint.declare import OutpaintArguments
from modules.features.overlapping_tiles import lay_tiles
from modules.features.stage import Stage, with_seed
from modules.generation.init_picture import InitPicture
from modules.generation.masking import Box, whole_picture_overlay_mask
from modules.pictures.masks import blur_mask

# Neighbouring windows share at least this part of their sides.
_SHARED = 0.25


def outpaint(stage: Stage, index: int) -> Image.Image:
    """Grow the picture on the chosen sides, window by window, starting where most is known."""
    resolved, arguments, start = stage.resolved.of_image(index), stage.read(OutpaintArguments), stage.start
    around = margins(start.size, arguments.pixels, arguments.direction, multiple=8)
    canvas = filled_from_edges(start, around)
    unknown = np.ones((canvas.height, canvas.width), dtype=bool)
    left, top, right, bottom = around.inner(start.size)
    unknown[top:bottom, left:right] = False
    size = (min(resolved.request.width, canvas.width // 8 * 8), min(resolved.request.height, canvas.height // 8 * 8))
    boxes = lay_tiles(canvas.size, size, int(min(size) * _SHARED)).boxes
    number = len([box for box in boxes if _part(unknown, box).any()])
    for done, box in enumerate(_in_order(unknown, boxes)):
        source = _source(canvas.crop(box), _part(unknown, box), arguments.overlap, arguments.mask_blur)
        canvas.paste(stage.over(with_seed(resolved, done, 0, size), source, min(done, number - 1), number), box[:2])
        _part(unknown, box)[:] = False
    return canvas


def _part(values: np.ndarray, box: Box) -> np.ndarray:
    return values[box[1] : box[3], box[0] : box[2]]


def _in_order(unknown: np.ndarray, boxes: list[Box]) -> Iterator[Box]:
    """Boxes with something new in them, at each time the one with the least of it. `unknown` changes in between."""
    while waiting := [box for box in boxes if _part(unknown, box).any()]:
        yield min(waiting, key=lambda box: int(_part(unknown, box).sum()))


def _source(part: Image.Image, unknown: np.ndarray, overlap: int, blur: int) -> InitPicture:
    mask = Image.fromarray(grown(unknown, overlap).astype(np.uint8) * 255, "L")
    soft = blur_mask(mask, blur, blur)
    return InitPicture(part, soft, part, whole_picture_overlay_mask(soft))


def grown(area: np.ndarray, by: int) -> np.ndarray:
    """`area` (height, width) with everything that lies within a square of `by` pixels around it."""
    for axis in (0, 1):
        counts = np.cumsum(np.pad(area.astype(np.int32), [(by + 1, by) if a == axis else (0, 0) for a in (0, 1)]), axis)
        length = area.shape[axis]
        reach = np.take(counts, np.arange(length) + 2 * by + 1, axis) - np.take(counts, np.arange(length), axis)
        area = reach > 0
    return area


def filled_from_edges(picture: Image.Image, around: Margins) -> Image.Image:
    """`picture` with margins that draw its edges out, softer the further out they are.

    A mirror image would be livelier, but what is seen twice is then painted twice.
    """
    pads = ((around.up, around.down), (around.left, around.right), (0, 0))
    canvas = Image.fromarray(np.pad(np.asarray(picture), pads, mode="edge"), "RGB")
    distance = _distance(canvas.size, around.inner(picture.size))
    for radius in (2, 4, 8, 16, 32):
        softer = canvas.filter(ImageFilter.GaussianBlur(radius))
        beyond = np.clip((distance - radius) / radius, 0, 1) * 255
        canvas = Image.composite(softer, canvas, Image.fromarray(beyond.astype(np.uint8), "L"))
    return canvas


def _distance(size: tuple[int, int], inner: Box) -> np.ndarray:
    """(height, width): how many pixels each lies outside of `inner`."""
    x, y = np.arange(size[0]), np.arange(size[1])
    across = np.maximum(np.maximum(inner[0] - x, x - inner[2] + 1), 0)
    down = np.maximum(np.maximum(inner[1] - y, y - inner[3] + 1), 0)
    distance: np.ndarray = np.maximum(across[None, :], down[:, None]).astype(np.float32)
    return distance
