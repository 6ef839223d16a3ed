"""What the operations of Extras make of each finished picture, where a request wants that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PIL import Image
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
from modules.features.running import FeatureJob
from modules.generation.finishing import Finished
from modules.generation.pipeline import JobFeature
from modules.parameters import RequestError
from modules.parameters.extras_request import SCALE_BY, SCALE_TO, ExtrasRequest
from modules.pictures import PictureError
from modules.pictures.postprocessing import Tools, postprocess
from modules.sampling import Interrupted


class Postprocessing(JobFeature):
    """Works on the pictures of one job. What can't be done is said, and the picture stays as it is."""

    apart = False

    def __init__(self, job: FeatureJob) -> None:
        self._job = job
        self._tools = Tools(job.models.upscaler, self._restored, job.models.boxes)
        request = requested_postprocessing(job.resolved.request.scripts)
        self._request = None if request is None else request.without(self._missing(request))

    def after_picture(self, finished: Finished, index: int) -> Finished:
        """The picture as it leaves the job. One that is interrupted here stays as it was before."""
        if self._request is None or not (self._request.upscalers or self._request.restorers):
            return finished
        try:
            result = postprocess(finished.picture, self._request, self._tools)
        except Interrupted:
            return finished
        except (PictureError, RequestError) as error:
            self._job.notice(f"Postprocessing was left out. {error}")
            return finished
        return replace(finished, picture=result.pictures[0][1], facts={**finished.facts, **result.facts})

    def _missing(self, request: ExtrasRequest) -> list[str]:
        """The operations whose files are not here."""
        missing = []
        for name in request.restorers:
            try:
                self._job.models.restorer(name, request.codeformer_weight)
            except RequestError as error:
                self._job.notice(f"{name} was left out. {error}")
                missing.append(name)
        try:
            for name in request.upscalers:
                self._job.models.upscaler(name)
        except (RequestError, PictureError) as error:
            self._job.notice(f"Upscaling was left out. {error}")
            missing.append("Upscale")
        return missing

    def _restored(self, name: str, image: Image.Image, weight: float) -> Image.Image:
        if self._job.leave():
            raise Interrupted
        return self._job.models.restorer(name, weight)(image) or image


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
