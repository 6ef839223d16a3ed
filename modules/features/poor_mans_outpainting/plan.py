"""What poor man's outpainting makes."""

from __future__ import annotations

from collections.abc import Sequence

from modules.features.outpaint.plan import check_outpainting
from modules.features.planning import Picture
from modules.features.poor_mans_outpainting.declare import PoorMansOutpaintingArguments
from modules.parameters import GenerationRequest, RequestError
from modules.settings.choices import MASKED_CONTENTS


def poor_mans_outpainting(request: GenerationRequest) -> Sequence[Picture]:
    """One picture: batch count and size have no effect."""
    arguments = PoorMansOutpaintingArguments.of(request.scripts)
    check_outpainting(request, arguments)
    if arguments.pixels >= min(request.width, request.height):
        raise RequestError(
            f"Poor man's outpainting: tiles of {request.width}x{request.height} must be larger than the "
            f"{arguments.pixels} pixels to expand, since they overlap by them."
        )
    return [Picture({"inpainting_fill": MASKED_CONTENTS.index(arguments.inpainting_fill)})]
