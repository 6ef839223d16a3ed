"""What happens on the img2img tab besides what every tab does: submitting with pictures, copying, sizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from modules.gallery.allowed_folders import FolderError
from modules.jobs.access import Viewer
from modules.jobs.job import Job, JobError
from modules.page.batch import NAME as BATCH
from modules.page.batch_files import read_batch_request, submit_batch, submit_form
from modules.page.form import MASK_ALPHA, Form
from modules.page.from_picture import with_source
from modules.page.img2img import Img2Img
from modules.page.init_pictures import MASKED, Masking, read_source
from modules.page.messages import refusal
from modules.page.missing_networks import missing_networks
from modules.page.uploads import UploadStore
from modules.page.viewers import pressed_by
from modules.parameters import GenerationRequest, RequestError
from modules.pictures import PictureError

if TYPE_CHECKING:
    from modules.jobs.services import Services


def wire_img2img(tab: Img2Img) -> None:
    """Connect the buttons that the page's scripts carry out by themselves."""
    for name, button in tab.copies.items():
        button.click(None, None, None, js=f"() => window.webui.copyPicture('{name}')")
    sides = [tab.form.controls["width"], tab.form.controls["height"]]
    tab.detect.click(None, sides, sides, js="(width, height) => window.webui.pictureSize(width, height)")


def submitter(form: Form, services: Services, uploads: UploadStore) -> Callable[..., str]:
    """The function behind Generate: the form's values, those of the Batch tab, the browser's id, pictures as JSON."""
    size = len(form.names)

    def submit(pressed: gr.Request, *values: object) -> str:
        *fields, client, text = values
        named = dict(zip(form.names, fields[:size], strict=True))
        slots = json.loads(str(text)) if text else {}
        sender = pressed_by(pressed, client)
        try:
            if slots.get("tab") == BATCH:
                batch = read_batch_request(services, fields[size:], upload=slots.get("from") != "directory")
                return submit_batch(services, named, batch, uploads, sender)
            return _submit_one(services, uploads, named, slots, sender)
        except (RequestError, FolderError, JobError) as error:
            return refusal(error)

    return submit


def with_second(
    request: GenerationRequest, inputs: Mapping[str, bytes], uploads: UploadStore, digest: str
) -> tuple[GenerationRequest, dict[str, bytes]]:
    """The request with the second picture that its script starts from. Raises RequestError when it is gone."""
    try:
        data = uploads.get(digest)
    except PictureError as error:
        raise RequestError(str(error)) from error
    pictures = (*request.init_images, digest)
    return request.model_copy(update={"init_images": pictures}), {**inputs, digest: data}


def _submit_one(
    services: Services, uploads: UploadStore, named: dict[str, Any], slots: dict[str, Any], sender: Viewer
) -> str:
    masking = Masking(
        inverted=bool(named.get("inpainting_mask_invert")),
        blur=float(named.get("mask_blur_x") or 0),
        transparency=float(named.get(MASK_ALPHA) or 0),
    )
    source = read_source(uploads, slots, masking)
    request, inputs = with_source(named, source, masked=slots.get("tab") in MASKED)
    if slots.get("second"):
        request, inputs = with_second(request, inputs, uploads, str(slots["second"]))

    def about(job: Job) -> str:
        return "\n".join(filter(None, (source.notice, missing_networks(services, job))))

    return submit_form(services, request, inputs, uploads, sender, about)
