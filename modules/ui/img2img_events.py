"""What happens on the img2img tab besides what every tab does: submitting with pictures, copying, sizes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modules.jobs.job import JobError
from modules.parameters import RequestError
from modules.ui.form import RESIZE_BY, SCALE, SIZE_FROM, Form, request_from
from modules.ui.img2img import MODE, Img2Img
from modules.ui.shelf import PictureShelf
from modules.ui.sources import MASKED, Source, read_source

if TYPE_CHECKING:
    from modules.jobs.services import Services
    from modules.parameters import GenerationRequest


def wire_img2img(tab: Img2Img) -> None:
    """Connect the buttons that the page's scripts carry out by themselves."""
    for name, button in tab.copies.items():
        button.click(None, None, None, js=f"() => window.webui.copyPicture('{name}')")
    sides = [tab.form.controls["width"], tab.form.controls["height"]]
    tab.detect.click(None, sides, sides, js="(width, height) => window.webui.pictureSize(width, height)")


def submitter(form: Form, services: Services, shelf: PictureShelf) -> Callable[..., str]:
    """The function behind Generate: the form's values, the browser's id, and the pictures as JSON."""

    def submit(*values: object) -> str:
        *fields, client, told = values
        named = dict(zip(form.names, fields, strict=True))
        try:
            source = read_source(shelf, str(told or ""), inverted=bool(named.get("inpainting_mask_invert")))
            request, inputs = with_source(named, source, masked=_tab(str(told or "")) in MASKED)
            job = services.jobs.submit(request, inputs=inputs, client=str(client) if client else None)
        except (RequestError, JobError) as error:
            return json.dumps({"error": str(error)})
        return json.dumps({"id": job.id, "notice": source.notice})

    return submit


def _tab(told: str) -> str:
    return str(json.loads(told).get("tab", "")) if told else ""


def with_source(
    named: Mapping[str, Any], source: Source, *, masked: bool
) -> tuple[GenerationRequest, dict[str, bytes]]:
    """The request behind the form's values and a source, with the pictures it refers to. Raises RequestError."""
    values = dict(named)
    if values.get(SIZE_FROM) == RESIZE_BY:
        values["width"], values["height"] = scaled(source.size, values.get(SCALE))
    if not masked:
        values = {name: value for name, value in values.items() if not name.startswith(("inpaint", "mask_"))}
    files = [source.picture] if source.mask is None else [source.picture, source.mask]
    names = [hashlib.sha256(data).hexdigest() for data in files]
    # Not among the form's values: those are a person's, these are ours.
    request = request_from(MODE, values).model_copy(
        update={"init_images": (names[0],), "mask": names[1] if source.mask is not None else None}
    )
    return request, dict(zip(names, files, strict=True))


def scaled(size: Sequence[int], scale: object) -> tuple[int, int]:
    """A picture's size times `scale`, cut to whole latent cells as A1111 does. Raises RequestError for no scale."""
    if not isinstance(scale, int | float) or not 0 < scale <= 16:
        raise RequestError("Scale is empty: give it a value between 0.05 and 4.")
    width, height = (max(64, int(side * scale) // 8 * 8) for side in size)
    return width, height
