"""Outpainting mk2: a pass for each side, over noise shaped after the picture. As A1111 v1.10.1."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from modules.features.margins import Margins, margins
from modules.features.outpainting_mk2.declare import OutpaintingMk2Arguments
from modules.features.outpainting_mk2.matched_noise import matched_noise
from modules.features.stage import Stage, with_seed
from modules.generation.init_picture import InitPicture
from modules.generation.masking import Box, whole_picture_overlay_mask
from modules.pictures.masks import blur_mask

# A1111 blurs the mask this much more than its slider says.
_BLUR_FACTOR = 4
_BLOCK = 64


def outpainting_mk2(stage: Stage, index: int) -> Image.Image:
    """The picture grown on one side after the other, each time with the same seed."""
    picture, arguments = stage.start, stage.read(OutpaintingMk2Arguments)
    around = margins(picture.size, arguments.pixels, arguments.direction)
    sides = [side for side in ("left", "right", "up", "down") if around.of(side) > 0]
    for number, side in enumerate(sides):
        picture = _grown(stage, index, picture, side, around, number, len(sides))
    return picture


def _grown(
    stage: Stage, index: int, picture: Image.Image, side: str, around: Margins, number: int, of: int
) -> Image.Image:
    added = Margins(**{side: around.of(side)})
    size = added.grown(picture.size)
    canvas = Image.new("RGB", (-(-size[0] // _BLOCK) * _BLOCK, -(-size[1] // _BLOCK) * _BLOCK))
    canvas.paste(picture, (added.left, added.up))
    arguments = stage.read(OutpaintingMk2Arguments)
    blur = arguments.mask_blur
    mask = _mask(canvas.size, size, added, blur)
    canvas = _with_noise(canvas, mask, arguments)
    resolved = stage.resolved.of_image(index)
    box = _pass_box(canvas.size, picture.size, added, (resolved.request.width, resolved.request.height))
    part, mask = canvas.crop(box), mask.crop(box)
    x, y = (blur * _BLUR_FACTOR if grows else 0 for grows in (around.left or around.right, around.up or around.down))
    source = InitPicture(
        part,
        _mask(part.size, size, added, blur * 2),
        part,
        whole_picture_overlay_mask(blur_mask(mask, x, y)),
    )
    canvas.paste(stage.over(with_seed(resolved, 0, 0, part.size), source, number, of), box[:2])
    return canvas.crop((0, 0, *size))


def _mask(canvas: tuple[int, int], size: tuple[int, int], added: Margins, inset: int) -> Image.Image:
    """White where the canvas is new, `inset` pixels further into the picture; `size` is that of the grown picture."""
    mask = Image.new("L", canvas, 255)
    unchanged = (
        added.left + inset if added.left else 0,
        added.up + inset if added.up else 0,
        canvas[0] - added.right - inset if added.right else size[0],
        canvas[1] - added.down - inset if added.down else size[1],
    )
    if unchanged[0] <= unchanged[2] and unchanged[1] <= unchanged[3]:
        ImageDraw.Draw(mask).rectangle(unchanged, fill=0)
    return mask


def _with_noise(canvas: Image.Image, mask: Image.Image, arguments: OutpaintingMk2Arguments) -> Image.Image:
    pixels = np.asarray(canvas, dtype=np.float64) / 255
    unknown = np.asarray(mask, dtype=np.float64) / 255
    noised = matched_noise(pixels, unknown, arguments.noise_q, arguments.color_variation)
    return Image.fromarray((noised * 255).astype(np.uint8), "RGB")


def _pass_box(canvas: tuple[int, int], picture: tuple[int, int], added: Margins, most: tuple[int, int]) -> Box:
    """What the pass works on: across the growing side as much as Width or Height says, along it everything."""
    width, height = canvas
    if added.left or added.right:
        width = min(most[0], picture[0] + added.left + added.right) // 8 * 8
    else:
        height = min(most[1], picture[1] + added.up + added.down) // 8 * 8
    left = 0 if added.left else canvas[0] - width
    top = 0 if added.up else canvas[1] - height
    return left, top, left + width, top + height
