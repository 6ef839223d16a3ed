"""What ControlNet's clients ask beside pictures: models, preprocessors, control types, and a preprocessor's map."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException
from PIL import Image
from pydantic import BaseModel, Field, JsonValue

from modules.api.base64_pictures import as_base64, fetcher, picture_bytes
from modules.api.bodies import EncodedPicture
from modules.api.generation import ended_job
from modules.api.http_errors import ApiRoute, GenerationFailed
from modules.api.viewer import ByLogin
from modules.features.controlnet.control_types.declare import CONTROL_TYPES, offered_by
from modules.features.controlnet.declare import NO_MODEL
from modules.features.controlnet.poses.declare import PoseError, poses_of_json
from modules.features.controlnet.preprocessors.declare import (
    PREPROCESSORS,
    UnknownPreprocessorError,
    find_preprocessor,
)
from modules.jobs.access import Viewer
from modules.jobs.job import Job
from modules.parameters import GenerationRequest
from modules.parameters.extras_request import ExtrasRequest, PreprocessRequest
from modules.parameters.request import extras_job
from modules.pictures import PictureError
from modules.pictures.opening import open_picture

if TYPE_CHECKING:
    from modules.jobs.services import Services

_VERSION: Final = 3
_MOST_POSES: Final = 100


class DetectBody(BaseModel):
    """ControlNet's fields. -1 stands for the preprocessor's default."""

    controlnet_module: str = "none"
    controlnet_input_images: Annotated[list[EncodedPicture], Field(max_length=100)] = []
    controlnet_processor_res: int = -1
    controlnet_threshold_a: float = -1
    controlnet_threshold_b: float = -1
    controlnet_masks: Annotated[list[EncodedPicture], Field(max_length=100)] = []


def controlnet_routes(services: Services) -> APIRouter:
    """The routes of sd-webui-controlnet, in its shapes."""
    router = APIRouter(prefix="/controlnet", route_class=ApiRoute, tags=["ControlNet"])
    _lists(router, services)
    _maps(router, services)
    return router


def _lists(router: APIRouter, services: Services) -> None:
    def titles() -> list[str]:
        return [one.title for one in services.catalogue.controls()]

    @router.get("/version")
    def version() -> dict[str, int]:
        return {"version": _VERSION}

    @router.get("/settings")
    def settings() -> dict[str, int]:
        return {"control_net_unit_count": services.options.whole("control_net_unit_count")}

    @router.get("/model_list")
    def model_list(update: bool = True) -> dict[str, list[str]]:
        return {"model_list": titles()}

    @router.get("/module_list")
    def module_list(alias_names: bool = False) -> dict[str, Any]:
        return {
            "module_list": [one.title if alias_names else one.name for one in PREPROCESSORS],
            "module_detail": {one.title if alias_names else one.name: one.as_api() for one in PREPROCESSORS},
        }

    @router.get("/control_types")
    def control_types() -> dict[str, Any]:
        names = titles()
        found = {
            one.tag: {
                "module_list": offered.modules,
                "model_list": [NO_MODEL, *offered.models],
                "default_option": offered.module,
                "default_model": offered.model,
            }
            for one in CONTROL_TYPES
            for offered in [offered_by(one, names)]
        }
        return {"control_types": found}


def _maps(router: APIRouter, services: Services) -> None:
    @router.post("/detect")
    async def detect(body: DetectBody, viewer: ByLogin) -> dict[str, Any]:
        try:
            module = find_preprocessor(body.controlnet_module)
        except UnknownPreprocessorError as error:
            raise HTTPException(422, f"Module not available. {error}") from error
        if module.seen_by_clip:
            raise HTTPException(422, f"Module not supported: the picture of {module.name} becomes no map.")
        if not body.controlnet_input_images:
            raise HTTPException(422, "No image selected")
        if module.takes_mask and not body.controlnet_masks:
            raise HTTPException(422, f"Preprocessor {module.name} requires `controlnet_masks` param.")
        masks, pictures = len(body.controlnet_masks), len(body.controlnet_input_images)
        if module.takes_mask and masks != pictures:
            raise HTTPException(422, f"There are {pictures} pictures and {masks} masks: each picture needs one.")
        wanted = PreprocessRequest(
            module=module.name,
            resolution=body.controlnet_processor_res,
            threshold_a=body.controlnet_threshold_a,
            threshold_b=body.controlnet_threshold_b,
            masked=module.takes_mask,
        )
        job = await run_sync(submitted, body, wanted, viewer)
        job = await ended_job(services.jobs, job, None)
        made = [as_base64(one) for one in await run_sync(maps_of, job)]
        poses = poses_in(job)
        return {"info": "Success", "images": made, **({"poses": poses} if poses else {})}

    @router.post("/render_openpose_json")
    async def render_openpose_json(poses: list[dict[str, Any]], viewer: ByLogin) -> dict[str, Any]:
        job = await run_sync(partial(submit_poses, services, poses, client="api", user=viewer.user))
        job = await ended_job(services.jobs, job, None)
        return {"info": "Success", "images": [as_base64(one) for one in await run_sync(maps_of, job)]}

    def submitted(body: DetectBody, wanted: PreprocessRequest, viewer: Viewer) -> Job:
        fetch = fetcher(services.options)
        texts = body.controlnet_input_images
        inputs = {f"{place}": picture_bytes(text, f"picture {place}", fetch) for place, text in enumerate(texts)}
        if wanted.masked:
            masks = [picture_bytes(text, f"mask {place}", fetch) for place, text in enumerate(body.controlnet_masks)]
            pairs = zip(inputs.items(), masks, strict=True)
            inputs = {name: with_mask(data, mask, f"picture {name}") for (name, data), mask in pairs}
        extras = ExtrasRequest(names=tuple(f"picture {name}" for name in inputs), preprocess=wanted)
        return submit_map(services, extras_job(extras, tuple(inputs)), inputs, client="api", user=viewer.user)


def with_mask(picture: bytes, mask: bytes, name: str) -> bytes:
    """A picture as a PNG whose alpha channel is its mask, white where something was painted. Raises HTTPException."""
    try:
        image, painted = open_picture(picture, name).convert("RGB"), open_picture(mask, f"the mask of {name}")
    except PictureError as error:
        raise HTTPException(422, str(error)) from error
    image.putalpha(painted.convert("RGB").resize(image.size, Image.Resampling.NEAREST).convert("L"))
    made = BytesIO()
    image.save(made, "PNG", compress_level=1)
    return made.getvalue()


def pose_job(poses: Sequence[JsonValue]) -> tuple[GenerationRequest, dict[str, bytes]]:
    """The job that draws poses, each OpenPose's JSON, and the empty canvases that it draws them on.

    Raises HTTPException where there is none, or one can't be read.
    """
    if not 1 <= len(poses) <= _MOST_POSES:
        raise HTTPException(422, f"From 1 to {_MOST_POSES} poses can be drawn at once.")
    inputs = {}
    for number, pose in enumerate(poses):
        try:
            _, width, height = poses_of_json(pose)
        except PoseError as error:
            raise HTTPException(422, str(error)) from error
        canvas = BytesIO()
        Image.new("1", (width, height)).save(canvas, "PNG")
        inputs[str(number)] = canvas.getvalue()
    wanted = PreprocessRequest(module="none", poses=tuple(json.dumps(pose) for pose in poses))
    names = tuple(f"pose {name}" for name in inputs)
    return extras_job(ExtrasRequest(names=names, preprocess=wanted), tuple(inputs)), inputs


def submit_poses(services: Services, poses: Sequence[JsonValue], *, client: str | None, user: str | None) -> Job:
    """Queue a job that draws poses. Raises HTTPException as `pose_job`."""
    request, inputs = pose_job(poses)
    return submit_map(services, request, inputs, client=client, user=user)


def submit_map(
    services: Services, request: GenerationRequest, inputs: Mapping[str, bytes], *, client: str | None, user: str | None
) -> Job:
    """Queue a job that makes maps; its pictures are only returned."""
    return services.jobs.submit(request, inputs=inputs, client=client, user=user, save=False)


def poses_in(job: Job) -> list[JsonValue]:
    """The poses that an ended job's maps show, as OpenPose's JSON, in the order of its pictures; [] for other maps."""
    images = sorted((image for image in job.images if image.kind == "image"), key=lambda image: image.index)
    return [json.loads(image.infotext) for image in images if image.infotext]


def maps_of(job: Job) -> list[bytes]:
    """The files of an ended job's maps, in the order of its pictures. Raises GenerationFailed where there are none."""
    maps = sorted((image for image in job.images if image.kind == "image"), key=lambda image: image.index)
    if job.cause or not maps:
        raise GenerationFailed(job.cause or "No map was made: the job was interrupted.")
    return [image.path.read_bytes() for image in maps]
