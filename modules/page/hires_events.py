"""What happens around Hires. fix: the line with the sizes, and "upscale this one" for a finished picture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.intake.first_pass import first_pass_size
from modules.page.again import wire_again
from modules.page.controls import events_of
from modules.page.hires import FIELDS, SIZE_FIELDS
from modules.page.txt2img import Txt2Img
from modules.parameters import GenerationRequest, RequestError

if TYPE_CHECKING:
    from modules.jobs.job import Job, SavedImage
    from modules.jobs.services import Services

NO_PICTURE: Final = "There is no picture to enlarge yet: generate one first."


def wire_hires(tab: Txt2Img, services: Services, page: gr.Blocks) -> None:
    """Connect the size line and the button under the gallery."""
    controls = [tab.form.controls[name] for name in SIZE_FIELDS]
    events = [events_of(control).change for control in controls]
    # The scripts may still be on their way when the page loads; each change tries again.
    gr.on([*events, page.load], None, controls, tab.hires_line, js="(...sizes) => window.webui?.hiresLine(sizes) ?? ''")
    # As in A1111 the finished picture stands for the first pass: only the hires pass runs, with the picture's seed.
    wire_again(tab.results.upscale, "upscale", tab.results, tab.form, services, upscaled)


def upscaled(
    shown: Sequence[tuple[Job, SavedImage]], index: int, hires: GenerationRequest
) -> tuple[GenerationRequest, dict[str, bytes]]:
    """The request for one picture of a gallery with the settings of `hires`, and the picture by the name it has there.

    Raises RequestError without a picture.
    """
    if not 0 <= index < len(shown) or shown[index][1].kind != "image":
        raise RequestError(NO_PICTURE)
    job, image = shown[index]
    picture = image.path.read_bytes()
    name = hashlib.sha256(picture).hexdigest()
    changes: Mapping[str, Any] = {
        **{name: getattr(hires, name) for name in FIELDS},
        **first_pass_size(picture),
        "enable_hr": True,
        "firstpass_image": name,
        "seed": image.seed,
        "subseed": image.subseed,
        "n_iter": 1,
        "batch_size": 1,
        # The prompts of a resolved request have the styles in them.
        "styles": (),
        "scripts": {},
    }
    return job.resolved.of_image(image.index).request.model_copy(update=changes), {name: picture}
