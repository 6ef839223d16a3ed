"""What the scripts of Extras that stand beside the others want done, as one request of Extras."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from modules.features.postprocessing.declare import (
    CODEFORMER,
    GFPGAN,
    SCALES,
    UPSCALE,
    CodeFormerArguments,
    GfpganArguments,
    UpscaleArguments,
)
from modules.parameters.extras_request import SCALE_BY, SCALE_TO, ExtrasRequest


def requested_postprocessing(scripts: Mapping[str, Mapping[str, JsonValue]]) -> ExtrasRequest | None:
    """What a request's checked scripts want done to each finished picture; None where that is nothing.

    Raises ScriptError for an argument of another type.
    """
    values: dict[str, object] = {}
    if UPSCALE.title in scripts:
        upscale = UpscaleArguments.of(scripts)
        values |= {
            "upscaler_1": upscale.upscaler_1_name,
            "upscaler_2": upscale.upscaler_2_name,
            "extras_upscaler_2_visibility": upscale.upscaler_2_visibility,
            "resize_mode": SCALE_TO if upscale.upscale_mode == SCALES[SCALE_TO] else SCALE_BY,
            "upscaling_resize": upscale.upscale_by,
            "max_side_length": upscale.max_side_length,
            "upscaling_resize_w": upscale.upscale_to_width,
            "upscaling_resize_h": upscale.upscale_to_height,
            "upscaling_crop": upscale.upscale_crop,
        }
    if GFPGAN.title in scripts:
        values["gfpgan_visibility"] = GfpganArguments.of(scripts).visibility
    if CODEFORMER.title in scripts:
        codeformer = CodeFormerArguments.of(scripts)
        values |= {"codeformer_visibility": codeformer.visibility, "codeformer_weight": codeformer.weight}
    wanted = ExtrasRequest.model_validate(values)
    return wanted if wanted.upscalers or wanted.restorers else None
