"""What ControlNet's units on the page ask for: what each control type offers, and a preprocessor's map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field, JsonValue

from modules.api.controlnet_routes import maps_of, poses_in, submit_map, submit_poses
from modules.api.generation import ended_job
from modules.api.http_errors import GenerationFailed
from modules.api.viewer import ByBrowser
from modules.features.controlnet.control_types.declare import CONTROL_TYPES, offered_by
from modules.features.controlnet.preprocessors.declare import (
    PREPROCESSORS,
    Preprocessor,
    UnknownPreprocessorError,
    find_preprocessor,
)
from modules.jobs.access import Viewer
from modules.jobs.job import Job, JobError
from modules.page.uploads import UploadStore
from modules.parameters import RequestError
from modules.parameters.extras_request import ExtrasRequest, PreprocessRequest
from modules.parameters.request import extras_job
from modules.pictures import PictureError

if TYPE_CHECKING:
    from modules.jobs.services import Services


class PoseBody(BaseModel):
    """A pose of the editor, as OpenPose's JSON."""

    pose: JsonValue


class MapBody(BaseModel):
    """A unit's picture, by its digest among the uploads, and its preprocessor."""

    image: Annotated[str, Field(max_length=64)]
    module: Annotated[str, Field(max_length=200)]
    processor_res: float = -1
    threshold_a: float = -1
    threshold_b: float = -1


def controlnet_page_routes(services: Services, uploads: UploadStore, logged_in: Callable[[Request], None]) -> APIRouter:
    """All of them. A refusal is one sentence."""
    router = APIRouter(prefix="/internal/controlnet", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.get("")
    def lists() -> dict[str, Any]:
        names = [one.title for one in services.catalogue.controls()]
        types = {one.tag: offered_by(one, names)._asdict() for one in CONTROL_TYPES}
        modules = [{"name": one.name, "title": one.title, "sliders": _sliders(one)} for one in PREPROCESSORS]
        return {"types": types, "modules": modules}

    @router.post("/map")
    async def map_of(body: MapBody, viewer: ByBrowser) -> dict[str, Any]:
        job = await ended_job(services.jobs, await run_sync(submitted, body, viewer), None)
        return await run_sync(stored, job)

    @router.post("/pose")
    async def drawn(body: PoseBody, viewer: ByBrowser) -> dict[str, Any]:
        job = await run_sync(partial(submit_poses, services, [body.pose], client=viewer.client, user=viewer.user))
        return await run_sync(stored, await ended_job(services.jobs, job, None))

    def submitted(body: MapBody, viewer: Viewer) -> Job:
        try:
            wanted = PreprocessRequest(
                module=find_preprocessor(body.module).name,
                resolution=body.processor_res,
                threshold_a=body.threshold_a,
                threshold_b=body.threshold_b,
            )
            inputs = {"picture": uploads.get(body.image)}
            request = extras_job(ExtrasRequest(names=("The picture",), preprocess=wanted), tuple(inputs))
            return submit_map(services, request, inputs, client=viewer.client, user=viewer.user)
        except (UnknownPreprocessorError, PictureError, RequestError, JobError) as error:
            raise HTTPException(422, str(error)) from error

    def stored(job: Job) -> dict[str, Any]:
        try:
            made = uploads.put(maps_of(job)[0], "The map")
        except GenerationFailed as error:
            raise HTTPException(422, str(error)) from error
        return {"id": made.id, "width": made.width, "height": made.height, "pose": next(iter(poses_in(job)), None)}

    return router


def _sliders(one: Preprocessor) -> dict[str, dict[str, str | float]]:
    named = {"processor_res": one.resolution, "threshold_a": one.threshold_a, "threshold_b": one.threshold_b}
    return {name: slider.as_api() for name, slider in named.items() if slider is not None}
