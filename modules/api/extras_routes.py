"""Finished pictures: their parameters, and enlarging them and restoring their faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from modules.api.base64_pictures import as_base64, fetcher, picture_bytes
from modules.api.bodies import EncodedPicture
from modules.api.generation import ended_job
from modules.api.http_errors import ApiRoute, GenerationFailed
from modules.api.viewer import ByLogin
from modules.intake.extras_names import checked_names
from modules.jobs.access import Viewer
from modules.jobs.job import Job
from modules.parameters import RequestError, parse_infotext
from modules.parameters.extras_request import ExtrasRequest
from modules.parameters.output_options import ImageFileOptions
from modules.parameters.request import extras_job
from modules.pictures import encode_picture
from modules.pictures.enlarging import PLAIN
from modules.pictures.metadata import read_metadata
from modules.pictures.opening import PictureError, open_picture
from modules.pictures.postprocessing import Tools, postprocess
from modules.settings.groups import read_options

if TYPE_CHECKING:
    from modules.jobs.services import Services


class PngInfoBody(BaseModel):
    image: EncodedPicture


class ExtrasBody(BaseModel):
    """A1111's fields. `upscale_first` has no effect, as in A1111: pictures are enlarged before faces are restored."""

    resize_mode: Annotated[int, Field(ge=0, le=1)] = 0
    show_extras_results: bool = True
    gfpgan_visibility: Annotated[float, Field(ge=0, le=1)] = 0
    codeformer_visibility: Annotated[float, Field(ge=0, le=1)] = 0
    codeformer_weight: Annotated[float, Field(ge=0, le=1)] = 0
    upscaling_resize: Annotated[float, Field(gt=0, le=64)] = 2
    upscaling_resize_w: Annotated[int, Field(ge=1, le=16384)] = 512
    upscaling_resize_h: Annotated[int, Field(ge=1, le=16384)] = 512
    upscaling_crop: bool = True
    upscaler_1: str = "None"
    upscaler_2: str = "None"
    extras_upscaler_2_visibility: Annotated[float, Field(ge=0, le=1)] = 0
    upscale_first: bool = False


class ExtrasSingleBody(ExtrasBody):
    image: EncodedPicture = ""


class NamedPicture(BaseModel):
    data: EncodedPicture
    name: str


class ExtrasBatchBody(ExtrasBody):
    imageList: Annotated[list[NamedPicture], Field(max_length=1000)]


class InterrogateBody(BaseModel):
    image: EncodedPicture = ""
    model: str = "clip"


def extras_routes(services: Services) -> APIRouter:
    """png-info, the two extras calls, and interrogate, which has no model to answer with."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["extras"])

    @router.post("/png-info")
    def png_info(body: PngInfoBody) -> dict[str, Any]:
        try:
            data = picture_bytes(body.image, "image", fetcher(services.options), most_pixels=None)
            found = read_metadata(data)
        except PictureError as error:
            raise RequestError(str(error)) from error
        items = found.items | ({"parameters": found.infotext} if found.infotext else {})
        return {"info": found.infotext, "items": items, "parameters": parse_infotext(found.infotext)}

    @router.post("/extra-single-image")
    async def extra_single_image(body: ExtrasSingleBody, viewer: ByLogin) -> dict[str, str]:
        image = NamedPicture(data=body.image, name="image")
        return {"html_info": "", "image": (await worked(body, [image], viewer))[0]}

    @router.post("/extra-batch-images")
    async def extra_batch_images(body: ExtrasBatchBody, viewer: ByLogin) -> dict[str, Any]:
        return {"html_info": "", "images": await worked(body, body.imageList, viewer)}

    async def worked(body: ExtrasBody, pictures: list[NamedPicture], viewer: Viewer) -> list[str]:
        # Which upscalers there are is read from the disk.
        extras = await run_sync(extras_request, services, body, tuple(one.name[:80] for one in pictures))
        inputs = await run_sync(_decoded, services, pictures)
        if extras.restorers or not set(extras.upscalers) <= set(PLAIN):
            job = await run_sync(_submitted, services, extras, inputs, viewer)
            job = await ended_job(services.jobs, job, None)
            return await run_sync(_of_job, job, len(pictures))
        # Without a model it takes no engine, and need not wait for a job of another kind.
        return await run_sync(_at_once, services, extras, inputs)

    @router.post("/interrogate")
    def interrogate(body: InterrogateBody) -> dict[str, str]:
        if not body.image:
            raise HTTPException(404, "Image not found")
        raise HTTPException(404, "Model not found")

    return router


def extras_request(services: Services, body: ExtrasBody, names: tuple[str, ...]) -> ExtrasRequest:
    """The request of a body. Raises RequestError naming an upscaler or a restorer that is not here."""
    shared = set(type(body).model_fields) & set(ExtrasRequest.model_fields)
    values = {name: getattr(body, name) for name in shared}
    extras = ExtrasRequest(names=names, transparency=False, **values)
    return checked_names(extras, services.upscalers(), services.catalogue.restorers())


def _decoded(services: Services, pictures: list[NamedPicture]) -> dict[str, bytes]:
    fetch = fetcher(services.options)
    # Numbered, since two may have the same name.
    return {f"{n} {one.name}": picture_bytes(one.data, one.name[:80], fetch) for n, one in enumerate(pictures)}


def _submitted(services: Services, extras: ExtrasRequest, inputs: dict[str, bytes], viewer: Viewer) -> Job:
    return services.jobs.submit(extras_job(extras, tuple(inputs)), inputs=inputs, user=viewer.user, save=False)


def _of_job(job: Job, wanted: int) -> list[str]:
    """The results in the order of the pictures. Raises GenerationFailed unless there is one for each."""
    images = sorted((image for image in job.images if image.kind == "image"), key=lambda image: image.index)
    if len(images) < wanted:
        raise GenerationFailed(job.cause or next(iter(job.notices), "The job was stopped before it was complete."))
    return [as_base64(image.path.read_bytes()) for image in images]


def _at_once(services: Services, extras: ExtrasRequest, inputs: dict[str, bytes]) -> list[str]:
    options = read_options(ImageFileOptions, services.options.as_dict())
    answers = []
    for name, data in zip(extras.names, inputs.values(), strict=True):
        try:
            result = postprocess(open_picture(data, name), extras, Tools())
        except PictureError as error:
            raise RequestError(str(error)) from error
        chunks = {"postprocessing": result.note} if result.note else None
        encoded, _ = encode_picture(result.pictures[0][1], options, read_metadata(data).infotext, chunks=chunks)
        answers.append(as_base64(encoded))
    return answers
