"""Scripts that work on the picture they are given: their pictures differ in the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.intake.plans.picture import Picture
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.scripts import MASKED_CONTENTS
from modules.parameters.scripts.arguments import (
    AlternativeTestArguments,
    OutpaintingArguments,
    PoorMansOutpaintingArguments,
    SdUpscaleArguments,
)


def sd_upscale(request: GenerationRequest) -> Sequence[Picture]:
    """One picture for each of Batch count; Batch size is that of the tiles."""
    arguments = SdUpscaleArguments.of(request.scripts)
    _without_mask(request, "SD upscale")
    if arguments.overlap >= min(request.width, request.height):
        raise RequestError(
            f"SD upscale: tiles of {request.width}x{request.height} can't overlap by {arguments.overlap} pixels: "
            "take a smaller Tile overlap, or larger Width and Height."
        )
    return [Picture(seed=number) for number in range(request.n_iter)]


def outpaint(kind: type[OutpaintingArguments], request: GenerationRequest) -> Sequence[Picture]:
    """As many as a plain job makes, for the script with arguments of this `kind`."""
    _outpaints(request, kind.of(request.scripts))
    return ordinary(request, {"inpainting_fill": 1})


def alternative_test(request: GenerationRequest) -> Sequence[Picture]:
    """A plain job's pictures, with what the script overrides."""
    arguments = AlternativeTestArguments.of(request.scripts)
    _without_mask(request, "img2img alternative test")
    prompts = {"prompt": arguments.original_prompt, "negative_prompt": arguments.original_negative_prompt}
    fields: dict[str, Any] = {"sampler_name": "Euler"} if arguments.override_sampler else {}
    fields |= prompts if arguments.override_prompt else {}
    fields |= {"steps": arguments.decode_steps} if arguments.override_steps else {}
    fields |= {"denoising_strength": 1.0} if arguments.override_strength else {}
    return ordinary(request, fields)


def poor_mans_outpainting(request: GenerationRequest) -> Sequence[Picture]:
    """One picture: batch count and size have no effect."""
    arguments = PoorMansOutpaintingArguments.of(request.scripts)
    _outpaints(request, arguments)
    if arguments.pixels >= min(request.width, request.height):
        raise RequestError(
            f"Poor man's outpainting: tiles of {request.width}x{request.height} must be larger than the "
            f"{arguments.pixels} pixels to expand, since they overlap by them."
        )
    return [Picture({"inpainting_fill": MASKED_CONTENTS.index(arguments.inpainting_fill)})]


def ordinary(request: GenerationRequest, fields: Mapping[str, Any] | None = None) -> list[Picture]:
    """The pictures of a plain job, with `fields` changed in each."""
    count = request.n_iter * request.batch_size
    seeds = range(count) if request.subseed_strength == 0 else [0] * count
    return [Picture(fields or {}, seed=seed, subseed=number) for number, seed in enumerate(seeds)]


def _outpaints(request: GenerationRequest, arguments: OutpaintingArguments) -> None:
    title = arguments.script.title
    _without_mask(request, title)
    if not arguments.direction:
        raise RequestError(f"{title}: no direction is chosen, so there is nothing to paint: tick at least one.")


def _without_mask(request: GenerationRequest, title: str) -> None:
    if request.mask is not None:
        raise RequestError(f"{title} takes no mask: start it from the img2img tab, or take the painting away.")
