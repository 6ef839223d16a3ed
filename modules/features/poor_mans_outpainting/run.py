"""Poor man's outpainting: the grown picture tile by tile, each inpainted where it stands over. As A1111 v1.10.1."""

from __future__ import annotations

from PIL import Image, ImageDraw

from modules.features.margins import Margins, margins
from modules.features.overlapping_tiles import join_tiles, lay_tiles
from modules.features.poor_mans_outpainting.declare import PoorMansOutpaintingArguments
from modules.features.stage import Stage, with_seed
from modules.generation.init_picture import ORIGINAL, InitPicture
from modules.generation.masking import Box, fill_masked, whole_picture_overlay_mask
from modules.parameters import RequestError, ResolvedRequest
from modules.pictures.masks import blur_mask
from modules.pictures.size import Size


def poor_mans_outpainting(stage: Stage, index: int) -> Image.Image:
    """Tiles of Width x Height overlap by the pixels to expand; those within the old picture stay as they are."""
    arguments = stage.read(PoorMansOutpaintingArguments)
    resolved, start = stage.resolved.of_image(index), stage.start
    pixels, blur = arguments.pixels, arguments.mask_blur
    around = margins(start.size, pixels, arguments.direction)
    canvas = around.around(start)
    mask, latent_mask = (frame(around, canvas.size, inset) for inset in (blur * 2, blur // 2))
    if min(canvas.size) <= pixels:
        raise RequestError(
            f"Poor man's outpainting: the picture is too small: grown to {canvas.width}x{canvas.height} it must have "
            f"more than the {pixels} pixels to expand on each side."
        )
    tile = (min(resolved.request.width, canvas.width // 8 * 8), min(resolved.request.height, canvas.height // 8 * 8))
    tiles = lay_tiles(canvas.size, tile, pixels)
    old = around.inner(start.size)
    new = [box for box in tiles.boxes if not _within(box, old)]
    made = {
        box: stage.over(
            with_seed(resolved, number, 0, tiles.tile),
            _source(resolved, canvas.crop(box), mask.crop(box), latent_mask.crop(box), blur * 2),
            number,
            len(new),
        )
        for number, box in enumerate(new)
    }
    return join_tiles(tiles, [made[box] if box in made else canvas.crop(box) for box in tiles.boxes])


def frame(around: Margins, size: Size, inset: int) -> Image.Image:
    """White where the picture of `size` is new, and `inset` pixels further in on the sides that grow."""
    mask = Image.new("L", size, 255)
    unchanged = (
        around.left + (inset if around.left else 0),
        around.up + (inset if around.up else 0),
        size[0] - around.right - (inset if around.right else 0),
        size[1] - around.down - (inset if around.down else 0),
    )
    if unchanged[0] <= unchanged[2] and unchanged[1] <= unchanged[3]:
        ImageDraw.Draw(mask).rectangle(unchanged, fill=0)
    return mask


def _within(box: Box, outer: Box) -> bool:
    return box[0] >= outer[0] and box[1] >= outer[1] and box[2] <= outer[2] and box[3] <= outer[3]


def _source(
    resolved: ResolvedRequest, tile: Image.Image, mask: Image.Image, latent_mask: Image.Image, blur: int
) -> InitPicture:
    over = whole_picture_overlay_mask(blur_mask(mask, blur, blur))
    content = tile if resolved.request.inpainting_fill == ORIGINAL else fill_masked(tile, latent_mask)
    return InitPicture(content, latent_mask, tile, over)
