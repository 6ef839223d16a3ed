"""The button that runs the detail pass over a finished picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from modules.features.detail.declare import DETAIL, TITLE, tabs_in_use
from modules.page.paste import pasted_request
from modules.page.scripts import control_name
from modules.page.send_to import picture_of_gallery
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.request import parse_request
from modules.pictures import PictureError

if TYPE_CHECKING:
    from pathlib import Path

    from modules.jobs.job import Job, SavedImage
    from modules.jobs.services import Services
    from modules.page.uploads import UploadStore

NO_PICTURE: Final = "There is no picture to paint over yet: generate one first."
NO_DETECTOR: Final = "Choose a detector in ADetailer's first tab: it says what is painted over."


# Whether the detail pass is on for new pictures does not matter here.
SWITCHED_ON: Final = {control_name(DETAIL, DETAIL.arguments[0]): True}


def detailed(
    shown: Sequence[tuple[Job, SavedImage]], index: int, form: GenerationRequest
) -> tuple[GenerationRequest, dict[str, bytes]]:
    """The request that runs the form's tabs over one picture of a gallery, and the picture by the name it has there.

    Everything else is as it was when the picture was made. Raises RequestError without a picture, or a detector.
    """
    if not 0 <= index < len(shown) or shown[index][1].kind != "image":
        raise RequestError(NO_PICTURE)
    job, image = shown[index]
    made = job.resolved.of_image(image.index).request
    return _painted_over(made, image.path, form, {"seed": image.seed, "subseed": image.subseed})


def detailed_of_gallery(
    services: Services, uploads: UploadStore, sent: str, form: GenerationRequest
) -> tuple[GenerationRequest, dict[str, bytes]]:
    """The same over a picture of the Gallery tab, as its infotext says it was made; without one the form says that."""
    try:
        found = picture_of_gallery(sent, uploads)
    except PictureError as error:
        raise RequestError(str(error)) from error
    if found is None:
        raise RequestError(NO_PICTURE)
    path, infotext = found
    if not infotext.strip():
        return _painted_over(form, path, form, {})
    pasted = pasted_request(services, infotext)
    fields = {name: value for name, value in pasted.fields.items() if name != "scripts"}
    made = parse_request({**fields, "override_settings": pasted.override_settings})
    return _painted_over(made, path, form, {})


def _painted_over(
    made: GenerationRequest, path: Path, form: GenerationRequest, changes: dict[str, Any]
) -> tuple[GenerationRequest, dict[str, bytes]]:
    values = form.scripts.get(TITLE, {})
    if not tabs_in_use(values):
        raise RequestError(NO_DETECTOR)
    picture = path.read_bytes()
    name = hashlib.sha256(picture).hexdigest()
    changes |= {
        "mode": "img2img",
        "init_images": (name,),
        "mask": None,
        "firstpass_image": None,
        "enable_hr": False,
        "n_iter": 1,
        "batch_size": 1,
        # The prompts of a resolved request have the styles in them.
        "styles": (),
        "scripts": {TITLE: {**values, "ad_enable": True, "ad_skip_img2img": True}},
    }
    return made.model_copy(update=changes), {name: picture}
