"""The button that runs the detail pass over a finished picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from modules.features.detail.declare import DETAIL, TITLE, tabs_in_use
from modules.page.scripts import control_name
from modules.parameters import GenerationRequest, RequestError

if TYPE_CHECKING:
    from modules.jobs.job import Job, SavedImage

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
    values = form.scripts.get(TITLE, {})
    if not tabs_in_use(values):
        raise RequestError(NO_DETECTOR)
    job, image = shown[index]
    picture = image.path.read_bytes()
    name = hashlib.sha256(picture).hexdigest()
    changes: dict[str, Any] = {
        "mode": "img2img",
        "init_images": (name,),
        "mask": None,
        "firstpass_image": None,
        "enable_hr": False,
        "seed": image.seed,
        "subseed": image.subseed,
        "n_iter": 1,
        "batch_size": 1,
        # The prompts of a resolved request have the styles in them.
        "styles": (),
        "scripts": {TITLE: {**values, "ad_enable": True, "ad_skip_img2img": True}},
    }
    return job.resolved.of_image(image.index).request.model_copy(update=changes), {name: picture}
