"""Sequences from one prompt or picture to another."""

from __future__ import annotations

from collections.abc import Sequence

from modules.features.planning import Picture, few_enough
from modules.features.sequences.declare import InterpolatePicturesArguments, InterpolatePromptsArguments
from modules.parameters import GenerationRequest, RequestError


def interpolate_prompts(request: GenerationRequest) -> Sequence[Picture]:
    """A frame for each share, for each of Batch count; all of a sequence have one seed."""
    arguments = InterpolatePromptsArguments.of(request.scripts)
    second = arguments.second_prompt
    if not second.strip():
        raise RequestError("Interpolate prompts: Second prompt is empty: write what the sequence ends with.")
    few_enough("Interpolate prompts", arguments.frames * request.n_iter)
    return [
        Picture(seed=number, towards=(second, share))
        for number in range(request.n_iter)
        for share in arguments.shares()
    ]


def interpolate_pictures(request: GenerationRequest) -> Sequence[Picture]:
    """As with prompts; what each frame starts from is mixed when it is made."""
    arguments = InterpolatePicturesArguments.of(request.scripts)
    if request.mask is not None:
        raise RequestError("Interpolate pictures takes no mask: start it from the img2img tab.")
    few_enough("Interpolate pictures", arguments.frames * request.n_iter)
    return [Picture(seed=number) for number in range(request.n_iter) for _ in arguments.shares()]
