"""Pictures without a model: their parameters, and plain enlarging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from modules.api.bodies import Picture
from modules.api.errors import ApiRoute
from modules.api.pictures import Fetch, as_base64, fetcher, open_picture, picture_bytes
from modules.gallery import encode_picture
from modules.gallery.enlarging import Enlargement, enlarge
from modules.gallery.metadata import PictureError, read_metadata
from modules.parameters import RequestError, parse_infotext

if TYPE_CHECKING:
    from modules.jobs.services import Services

_FACES: Final = "Face restoration has no model here: put a GFPGAN or CodeFormer file in place, or leave it off."


class PngInfoBody(BaseModel):
    image: Picture


class ExtrasBody(BaseModel):
    """A1111's fields for enlarging; those of face restoration must be zero."""

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
    image: Picture = ""


class NamedPicture(BaseModel):
    data: Picture
    name: str


class ExtrasBatchBody(ExtrasBody):
    imageList: Annotated[list[NamedPicture], Field(max_length=1000)]


class InterrogateBody(BaseModel):
    image: Picture = ""
    model: str = "clip"


def extras_routes(services: Services) -> APIRouter:
    """png-info, the two extras calls, and interrogate, which has no model to answer with."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["extras"])

    @router.post("/png-info")
    def png_info(body: PngInfoBody) -> dict[str, Any]:
        try:
            found = read_metadata(picture_bytes(body.image, "image", fetcher(services.options)))
        except PictureError as error:
            raise RequestError(str(error)) from error
        items = found.items | ({"parameters": found.infotext} if found.infotext else {})
        return {"info": found.infotext, "items": items, "parameters": parse_infotext(found.infotext)}

    @router.post("/extra-single-image")
    def extra_single_image(body: ExtrasSingleBody) -> dict[str, str]:
        return {"html_info": "", "image": _enlarged(services, body, body.image, "image", fetcher(services.options))}

    @router.post("/extra-batch-images")
    def extra_batch_images(body: ExtrasBatchBody) -> dict[str, Any]:
        fetch = fetcher(services.options)
        images = [_enlarged(services, body, one.data, one.name[:80], fetch) for one in body.imageList]
        return {"html_info": "", "images": images}

    @router.post("/interrogate")
    def interrogate(body: InterrogateBody) -> dict[str, str]:
        if not body.image:
            raise HTTPException(404, "Image not found")
        raise HTTPException(404, "Model not found")

    return router


def _enlarged(services: Services, body: ExtrasBody, picture: str, what: str, fetch: Fetch | None) -> str:
    if body.gfpgan_visibility or body.codeformer_visibility:
        raise RequestError(_FACES)
    data = picture_bytes(picture, what, fetch)
    asked = Enlargement(
        body.upscaler_1,
        body.upscaler_2,
        body.extras_upscaler_2_visibility,
        mode=body.resize_mode,
        scale=body.upscaling_resize,
        width=body.upscaling_resize_w,
        height=body.upscaling_resize_h,
        crop=body.upscaling_crop,
    )
    try:
        result = enlarge(open_picture(data, what).convert("RGB"), asked)
    except PictureError as error:
        raise RequestError(str(error)) from error
    infotext = read_metadata(data).infotext
    chunks = {"postprocessing": asked.note} if asked.note else None
    encoded, _ = encode_picture(result, services.options.as_dict(), infotext, chunks=chunks)
    return as_base64(encoded)
