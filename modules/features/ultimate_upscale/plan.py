"""What Ultimate SD upscale makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modules.features.planning import Picture, refuse_mask
from modules.features.ultimate_upscale.declare import BAND_PASS, UltimateUpscaleArguments
from modules.parameters import GenerationRequest, RequestError

_SMALLEST_TILE: Final = 64


def ultimate_upscale(request: GenerationRequest) -> Sequence[Picture]:
    """One picture for each of Batch count."""
    arguments = UltimateUpscaleArguments.of(request.scripts)
    refuse_mask(request, "Ultimate SD upscale")
    width, height = arguments.tile
    if min(width, height) < _SMALLEST_TILE:
        raise RequestError(
            f"Ultimate SD upscale: tiles of {width}x{height} are too small: give them {_SMALLEST_TILE} pixels or more "
            "on each side."
        )
    if arguments.seams_fix_type == BAND_PASS and arguments.seams_fix_width < 2:
        raise RequestError("Ultimate SD upscale: bands over the seams must be 2 pixels wide or more.")
    return [Picture(seed=number) for number in range(request.n_iter)]
