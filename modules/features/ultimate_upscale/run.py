"""Ultimate SD upscale: the enlarged picture is inpainted tile by tile, and then along the seams between the tiles."""

from __future__ import annotations

from typing import Final

from PIL import Image

from modules.features.stage import Stage, check_enlarged, with_seed
from modules.features.ultimate_upscale.declare import BY_SCALE, CUSTOM_SIZE, ULTIMATE_UPSCALE, UltimateUpscaleArguments
from modules.features.ultimate_upscale.patches import Patch, pass_size, redrawn_tiles, seam_patches
from modules.generation.init_picture import ORIGINAL, prepare_init_picture
from modules.generation.resizing import JUST_RESIZE, resize_image
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.pictures.size import Size

# The picture before its seams were redrawn, by the suffix of its file.
BEFORE_SEAMS: Final = "before-seams-fix"


def ultimate_upscale(stage: Stage, index: int) -> Image.Image:
    """Picture `index`: each patch is an "Only masked" pass with the picture's own seed over what was made before it."""
    arguments, resolved = stage.read(UltimateUpscaleArguments), stage.resolved.of_image(index)
    picture = _enlarged(stage, arguments, resolved.request)
    tiles, seams = redrawn_tiles(picture.size, arguments), seam_patches(picture.size, arguments)
    tile_pass = _inpainting(resolved, arguments.padding, arguments.mask_blur)
    seam_pass = _inpainting(
        resolved, arguments.seams_fix_padding, arguments.seams_fix_mask_blur, arguments.seams_fix_denoise
    )
    of = len(tiles) + len(seams)
    for number, patch in enumerate(tiles):
        picture = _redrawn(stage, tile_pass, picture, patch, number, of)
    if seams and arguments.save_upscaled:
        stage.beside[BEFORE_SEAMS] = picture
    for number, patch in enumerate(seams, start=len(tiles)):
        picture = _redrawn(stage, seam_pass, picture, patch, number, of)
    return picture


def saves_result(resolved: ResolvedRequest) -> bool:
    """Whether the result gets a file of its own in the folder of pictures; else it is only shown."""
    arguments = UltimateUpscaleArguments.of(resolved.request.scripts)
    return arguments.save_seams if arguments.redraws_seams else arguments.save_upscaled


def _enlarged(stage: Stage, arguments: UltimateUpscaleArguments, request: GenerationRequest) -> Image.Image:
    start = stage.start
    size = _target(start.size, arguments, request)
    check_enlarged(ULTIMATE_UPSCALE.title, size)
    return resize_image(JUST_RESIZE, start, size, stage.resampler(arguments.upscaler))


def _target(start: Size, arguments: UltimateUpscaleArguments, request: GenerationRequest) -> Size:
    if arguments.target_size_type == CUSTOM_SIZE:
        return arguments.custom_width, arguments.custom_height
    if arguments.target_size_type == BY_SCALE:
        return round(start[0] * arguments.custom_scale), round(start[1] * arguments.custom_scale)
    return request.width, request.height


def _inpainting(resolved: ResolvedRequest, padding: int, blur: int, strength: float | None = None) -> ResolvedRequest:
    """The job's request as an "Only masked" one over the picture's own content, in passes of another size each."""
    fields: dict[str, object] = {
        "inpaint_full_res": True,
        "inpaint_full_res_padding": padding,
        "inpainting_fill": ORIGINAL,
        "inpainting_mask_invert": 0,
        "mask_blur_x": blur,
        "mask_blur_y": blur,
    }
    if strength is not None:
        fields["denoising_strength"] = strength
    return resolved.model_copy(
        update={
            "request": resolved.request.model_copy(update=fields),
            # Without the picture laid over it a pass would give its crop alone.
            "options": {**resolved.options, "overlay_inpaint": True},
        }
    )


def _redrawn(
    stage: Stage, resolved: ResolvedRequest, picture: Image.Image, patch: Patch, number: int, of: int
) -> Image.Image:
    size = pass_size(patch.size, resolved.request.inpaint_full_res_padding)
    part = with_seed(resolved, 0, 0, size)
    source = prepare_init_picture(part, picture, patch.mask(picture.size), stage.resize)
    return stage.over(part, source, number, of)
