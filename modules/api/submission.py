"""From a request body to what is queued."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastapi import HTTPException

from modules.api.base64_pictures import Fetch, fetcher, picture_bytes
from modules.api.bodies import ApiOnly, Img2ImgOnly, Txt2ImgOnly
from modules.api.scripts import is_always_on, request_changes, requested_scripts
from modules.catalogue.lookup import LocalModels
from modules.catalogue.model_errors import ModelNotFoundError
from modules.catalogue.upscalers import find_upscaler
from modules.features.declaration import RequestChanges
from modules.features.pictures import with_pictures
from modules.gallery.allowed_folders import FolderError
from modules.intake.checkpoints import options_in_force
from modules.intake.first_pass import first_pass_size
from modules.intake.networks import prefers_alias
from modules.intake.unit_folders import unit_folders
from modules.jobs.access import Viewer
from modules.jobs.batches import about_skipped, jobs_of_folders, submit_batch_jobs
from modules.parameters import (
    GenerationRequest,
    Mode,
    RequestError,
    declared_parameters,
    parse_infotext,
    parse_request,
    request_from_infotext,
)
from modules.parameters.upscalers import LATENT_UPSCALE_MODES
from modules.pictures.opening import picture_size

if TYPE_CHECKING:
    from modules.jobs.job import Job
    from modules.jobs.services import Services

# Body fields that A1111 keeps in the processing object and that are settings of the same meaning.
_AS_SETTINGS: Final = ("s_churn", "s_tmin", "s_tmax", "s_noise", "s_min_uncond", "initial_noise_multiplier")
_RESIZE: Final = ("hr_resize_x", "hr_resize_y")
_DECLARED: Final = tuple(declared.name for declared in declared_parameters(GenerationRequest))


class Submission(NamedTuple):
    """What a body says: the request, the pictures it refers to by name, and what its infotext leaves to be said."""

    request: GenerationRequest
    inputs: dict[str, bytes]
    notices: tuple[str, ...]


def generation_request(services: Services, body: ApiOnly, mode: Mode) -> Submission:
    """The request behind a body.

    Raises RequestError with one sentence, and HTTPException as A1111 does for scripts and a missing picture.
    """
    said = body.model_dump(exclude_unset=True, exclude_none=True)
    scripts = requested_scripts(services, body, mode)
    values = {name: value for name in _DECLARED if (value := getattr(body, name, None)) is not None}
    values.pop("firstpass_image", None)
    if "sampler_name" not in values:
        values["sampler_name"] = body.sampler_index or "Euler"
    overrides = dict(body.override_settings or {})
    notices: tuple[str, ...] = ()
    if body.infotext:
        models = LocalModels(services.catalogue, prefers_alias=prefers_alias(services.options))
        parsed = parse_infotext(body.infotext, backcompat=services.options.switch("auto_backcompat"))
        options = options_in_force(services.catalogue, services.options)
        pasted = request_from_infotext(parsed, options, models=models)
        notices = pasted.notices
        values |= {name: value for name, value in pasted.fields.items() if name not in said}
        # A script that is chosen is named by script_name alone, as in A1111.
        scripts = {
            title: sentences for title, sentences in pasted.fields.get("scripts", {}).items() if is_always_on(title)
        } | scripts
        overrides = pasted.override_settings | overrides
    overrides |= _settings_in(said)
    if "refiner_checkpoint" in values:
        # As in A1111, where a refiner without a share is the whole picture's.
        values.setdefault("refiner_switch_at", 0.0)
    # A1111 makes no grid for a program that wants nothing saved.
    values |= {"mode": mode, "from_program": True, "makes_grid": body.save_images, "scripts": scripts}
    values["disable_extra_networks"] = bool(body.disable_extra_networks)
    values |= {"override_settings": overrides, "styles": tuple(body.styles or ())}
    if isinstance(body, Txt2ImgOnly):
        values |= _first_phase(body, values)
    for side in ("width", "height"):
        # A1111 cuts sizes down to whole latent cells, and clients rely on it.
        if isinstance(values.get(side), int):
            values[side] -= values[side] % 8
    if isinstance(body, Img2ImgOnly) and body.mask_blur is not None:
        values |= {"mask_blur_x": body.mask_blur, "mask_blur_y": body.mask_blur}
    inputs = _pictures(body, values, fetcher(services.options))
    changes = _changes(body, mode, values, inputs)
    if (upscaler := changes.settings.get("upscaler_for_img2img")) is not None:
        _find_upscaler(services, str(upscaler))
    values |= {**changes.fields, "override_settings": {**overrides, **changes.settings}}
    request = parse_request(values)
    if request.enable_hr and request.hr_upscaler not in LATENT_UPSCALE_MODES:
        _find_upscaler(services, request.hr_upscaler)
    return Submission(request, inputs, notices)


def _changes(body: ApiOnly, mode: Mode, values: Mapping[str, Any], inputs: Mapping[str, bytes]) -> RequestChanges:
    """What scripts change of the request behind these values."""
    if not body.alwayson_scripts:
        return RequestChanges()
    first = next(iter(values.get("init_images", ())), None)
    fields = GenerationRequest.model_fields
    width, height = (int(values.get(side, fields[side].default)) for side in ("width", "height"))
    picture = None if first is None else picture_size(inputs[first], "init_images")
    return request_changes(body, mode, (width, height), picture)


def submit(services: Services, body: ApiOnly, mode: Mode, viewer: Viewer) -> list[Job]:
    """Queue the request of a body as a job of the viewer's login, or as one for each file of its units' folders.

    Raises RequestError, HTTPException and JobError.
    """
    request, inputs, notices = generation_request(services, body, mode)
    sender = Viewer(viewer.user, "api")
    try:
        folders = unit_folders(request, services.folders)
    except FolderError as error:
        raise RequestError(str(error)) from error
    if folders is not None:
        jobs, skipped = jobs_of_folders(request, inputs, folders)
        notices = (*notices, *about_skipped(skipped))
        return submit_batch_jobs(
            services, jobs, sender, notices=notices, task_id=body.force_task_id, save=body.save_images
        )
    job = services.jobs.submit(
        request,
        inputs=inputs,
        client=sender.client,
        user=sender.user,
        task_id=body.force_task_id,
        save=body.save_images,
        notices=notices,
    )
    return [job]


def _find_upscaler(services: Services, name: str) -> None:
    try:
        find_upscaler(name, services.upscalers())
    except ModelNotFoundError as error:
        raise RequestError(str(error)) from error


def _settings_in(said: Mapping[str, Any]) -> dict[str, Any]:
    settings = {name: said[name] for name in _AS_SETTINGS if name in said}
    if "eta" in said:
        settings |= dict.fromkeys(("eta_ancestral", "eta_ddim", "eta_tcd"), said["eta"])
    return settings


def _encoded_pictures(body: ApiOnly) -> dict[str, list[str]]:
    """The pictures in a body, by the field of the request that names them."""
    if isinstance(body, Img2ImgOnly):
        if not body.init_images:
            raise HTTPException(404, "Init image not found")
        return {"init_images": body.init_images} | ({"mask": [body.mask]} if body.mask else {})
    if isinstance(body, Txt2ImgOnly) and body.firstpass_image:
        return {"firstpass_image": [body.firstpass_image]}
    return {}


def _pictures(body: ApiOnly, values: dict[str, Any], fetch: Fetch | None) -> dict[str, bytes]:
    """Decode the body's pictures, and put their names into `values`; a first pass has the size of its picture."""
    inputs: dict[str, bytes] = {}
    for field, texts in _encoded_pictures(body).items():
        pictures = [picture_bytes(text, field, fetch) for text in texts]
        names = [hashlib.sha256(picture).hexdigest() for picture in pictures]
        inputs |= zip(names, pictures, strict=True)
        values[field] = tuple(names) if field == "init_images" else names[0]
        if field == "firstpass_image":
            values |= {"enable_hr": True} | first_pass_size(pictures[0])

    def named(text: str) -> str:
        picture = picture_bytes(text, "a script's picture", fetch)
        name = hashlib.sha256(picture).hexdigest()
        inputs[name] = picture
        return name

    values["scripts"] = with_pictures(values["scripts"], named)
    return inputs


def _first_phase(body: Txt2ImgOnly, values: Mapping[str, Any]) -> dict[str, int]:
    """Sizes as clients of 2022 give them: width and height are the hires pass's, these two the first pass's.

    Of one side alone the other follows, in the same proportion. A size for the hires pass that is given goes before.
    """
    sides, submission = ("width", "height"), (body.firstphase_width or 0, body.firstphase_height or 0)
    final = [values.get(side, GenerationRequest.model_fields[side].default) for side in sides]
    if not values.get("enable_hr") or not any(submission) or min(*submission, *final) < 0 or 0 in final:
        return {}
    first = [
        own or max(64, round(final[i] * submission[1 - i] / final[1 - i] / 8) * 8) for i, own in enumerate(submission)
    ]
    resize = {} if values.get("hr_resize_x") or values.get("hr_resize_y") else dict(zip(_RESIZE, final, strict=True))
    return {**dict(zip(sides, first, strict=True)), **resize}
