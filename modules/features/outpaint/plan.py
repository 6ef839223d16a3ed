"""What the outpainting scripts make."""

from __future__ import annotations

from collections.abc import Sequence

from modules.features.outpaint.declare import OutpaintingArguments
from modules.features.planning import Picture, ordinary, refuse_mask
from modules.parameters import GenerationRequest, RequestError


def outpaint(kind: type[OutpaintingArguments], request: GenerationRequest) -> Sequence[Picture]:
    """As many as a plain job makes, for the script with arguments of this `kind`."""
    check_outpainting(request, kind.of(request.scripts))
    return ordinary(request, {"inpainting_fill": 1})


def check_outpainting(request: GenerationRequest, arguments: OutpaintingArguments) -> None:
    """Raises RequestError where there is nothing to paint."""
    title = arguments.script.title
    refuse_mask(request, title)
    if not arguments.direction:
        raise RequestError(f"{title}: no direction is chosen, so there is nothing to paint: tick at least one.")
