"""The plan of each script by its title."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from modules.features.alternative_test.plan import alternative_test
from modules.features.detail.declare import DETAIL
from modules.features.detail.plan import detail_passes
from modules.features.loopback.plan import loopback
from modules.features.outpaint.declare import OutpaintArguments
from modules.features.outpaint.plan import outpaint
from modules.features.outpainting_mk2.declare import OutpaintingMk2Arguments
from modules.features.planning import Picture, Plan, few_enough
from modules.features.poor_mans_outpainting.plan import poor_mans_outpainting
from modules.features.prompt_matrix.plan import prompt_matrix
from modules.features.prompts_from_file.plan import prompts_from_file
from modules.features.regions.plan.layouts import regions_of
from modules.features.sd_upscale.plan import sd_upscale
from modules.features.sequences.plan import interpolate_pictures, interpolate_prompts
from modules.features.ultimate_upscale.plan import ultimate_upscale
from modules.features.xyz_plot.plan import xyz_plot
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.xyz import TITLE, with_fixed_seeds

# From a request, and the settings that it goes with, to what the passes of a feature over a finished picture change of
# it: the fields of img2img requests.
InnerPlan = Callable[[GenerationRequest, Mapping[str, object]], Sequence[Picture]]
INNER_PLANS: Final[Mapping[str, InnerPlan]] = {DETAIL.title: detail_passes}

PLANS: Final[Mapping[str, Plan]] = {
    "img2img alternative test": alternative_test,
    "Interpolate pictures": interpolate_pictures,
    "Interpolate prompts": interpolate_prompts,
    "Loopback": loopback,
    "Outpaint": partial(outpaint, OutpaintArguments),
    "Outpainting mk2": partial(outpaint, OutpaintingMk2Arguments),
    "Poor man's outpainting": poor_mans_outpainting,
    "Prompt matrix": prompt_matrix,
    "Prompts from file or textbox": prompts_from_file,
    "SD upscale": sd_upscale,
    "Ultimate SD upscale": ultimate_upscale,
    "X/Y/Z plot": xyz_plot,
}


def plan_of(request: GenerationRequest) -> Sequence[Picture] | None:
    """The pictures of the request's script, or None without one. Raises RequestError for what cannot be done."""
    script = request.script
    if script is None:
        return None
    if request.mode == "img2img" and len(request.init_images) < script.pictures:
        needed = "a picture" if script.pictures == 1 else f"{script.pictures} pictures"
        raise RequestError(
            f"{script.title} starts from {needed}, and {len(request.init_images)} came with the request."
        )
    pictures = PLANS[script.title](request)
    few_enough(script.title, len(pictures))
    return pictures


def check_prompts(request: GenerationRequest, prompt: str, negative: str) -> None:
    """Raises RequestError where a feature can't do with a pass's prompts, tags taken off, what the request wants."""
    regions_of(request.scripts, prompt, negative)


def inner_plans_of(request: GenerationRequest, options: Mapping[str, object]) -> dict[str, Sequence[Picture]]:
    """What the inner passes of each of the request's features change of it. Raises RequestError."""
    return {title: plan(request, options) for title, plan in INNER_PLANS.items() if title in request.scripts}


def with_drawn_seeds(request: GenerationRequest, rng: random.Random) -> GenerationRequest:
    """`request` with what its script leaves to chance drawn. Raises RequestError."""
    if TITLE not in request.scripts:
        return request
    arguments = with_fixed_seeds(request.scripts[TITLE], request.mode, rng)
    return request.model_copy(update={"scripts": {**request.scripts, TITLE: arguments}})
