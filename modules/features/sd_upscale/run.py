"""SD upscale: enlarged with an upscaler, and gone over tile by tile. As A1111 v1.10.1."""

from __future__ import annotations

from PIL import Image

from modules.features.overlapping_tiles import join_tiles, lay_tiles
from modules.features.sd_upscale.declare import SD_UPSCALE, SdUpscaleArguments
from modules.features.stage import Stage, check_enlarged, with_seed
from modules.generation.init_picture import InitPicture


def sd_upscale(stage: Stage, index: int) -> Image.Image:
    """Picture `index`: every tile of Width x Height a pass of its own, with seeds that count on from the picture's."""
    resolved = stage.resolved.of_image(index)
    request = resolved.request
    arguments = stage.read(SdUpscaleArguments)
    larger = _enlarged(stage, arguments)
    tile = (min(request.width, larger.width // 8 * 8), min(request.height, larger.height // 8 * 8))
    tiles = lay_tiles(larger.size, tile, arguments.overlap)
    made = []
    for number, box in enumerate(tiles.boxes):
        # A1111 makes them in batches, whose first seeds are neighbours: the k-th of the i-th batch has seed + i + k.
        batch, within = divmod(number, request.batch_size)
        added = batch + (within if request.subseed_strength == 0 else 0)
        part = with_seed(resolved, added, within, tiles.tile)
        made.append(stage.over(part, InitPicture(larger.crop(box)), number, len(tiles.boxes)))
    return join_tiles(tiles, made)


def _enlarged(stage: Stage, arguments: SdUpscaleArguments) -> Image.Image:
    start, upscaler, scale = stage.start, arguments.upscaler, arguments.scale_factor
    if upscaler == "None":
        check_enlarged(SD_UPSCALE.title, start.size)
        return start
    size = int(start.width * scale // 8 * 8), int(start.height * scale // 8 * 8)
    check_enlarged(SD_UPSCALE.title, size)
    resize = stage.resampler(upscaler)
    if upscaler in ("Lanczos", "Nearest"):
        # A1111 scales first, and then once more to whole latent cells.
        start = resize(start, (int(start.width * scale), int(start.height * scale)))
        return start if start.size == size else start.resize(size, Image.Resampling.LANCZOS)
    return resize(start, size)
