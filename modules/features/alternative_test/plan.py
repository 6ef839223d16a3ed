"""What the img2img alternative test makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules.features.alternative_test.declare import AlternativeTestArguments
from modules.features.planning import Picture, ordinary, refuse_mask
from modules.parameters import GenerationRequest


def alternative_test(request: GenerationRequest) -> Sequence[Picture]:
    """A plain job's pictures, with what the script overrides."""
    arguments = AlternativeTestArguments.of(request.scripts)
    refuse_mask(request, "img2img alternative test")
    prompts = {"prompt": arguments.original_prompt, "negative_prompt": arguments.original_negative_prompt}
    fields: dict[str, Any] = {"sampler_name": "Euler"} if arguments.override_sampler else {}
    fields |= prompts if arguments.override_prompt else {}
    fields |= {"steps": arguments.decode_steps} if arguments.override_steps else {}
    fields |= {"denoising_strength": 1.0} if arguments.override_strength else {}
    return ordinary(request, fields)
