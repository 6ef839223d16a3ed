"""What SD upscale makes."""

from __future__ import annotations

from collections.abc import Sequence

from modules.features.planning import Picture, refuse_mask
from modules.features.sd_upscale.declare import SdUpscaleArguments
from modules.parameters import GenerationRequest, RequestError


def sd_upscale(request: GenerationRequest) -> Sequence[Picture]:
    """One picture for each of Batch count; Batch size is that of the tiles."""
    arguments = SdUpscaleArguments.of(request.scripts)
    refuse_mask(request, "SD upscale")
    if arguments.overlap >= min(request.width, request.height):
        raise RequestError(
            f"SD upscale: tiles of {request.width}x{request.height} can't overlap by {arguments.overlap} pixels: "
            "take a smaller Tile overlap, or larger Width and Height."
        )
    return [Picture(seed=number) for number in range(request.n_iter)]
