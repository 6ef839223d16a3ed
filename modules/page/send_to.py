"""The ways between tabs: a result, or an uploaded picture, goes on with its bytes and its parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.files import SaveError
from modules.jobs.access import Viewer
from modules.page.form import RESIZE_TO, SCALE, SEEDS, SIZE_FROM
from modules.page.img2img import Img2Img
from modules.page.job_pictures import shown_pictures
from modules.page.messages import QUICK, SAY, message
from modules.page.paste import form_values
from modules.page.picture_routes import as_json
from modules.page.results import Results
from modules.page.scripts import is_of_script
from modules.page.uploads import Upload, UploadStore
from modules.page.viewers import pressed_by
from modules.pictures import PictureError

if TYPE_CHECKING:
    from modules.jobs.services import Services

NOTHING: Final = "There is no picture to send yet."
# What the picture arrives by: the page's scripts put it into its slot.
ARRIVE: Final = "(text) => window.webui.arrive(text)"
# Pictures larger than the sliders reach are scaled down by img2img.
LONGEST_SIDE: Final = 2048


@dataclass(frozen=True, slots=True)
class Destinations:
    """What sending changes: the main tabs, the img2img tab and its sub-tabs."""

    tabs: gr.Tabs
    img2img: Img2Img

    @property
    def outputs(self) -> list[Any]:
        # Tabs can be outputs, but Gradio's types count them no component.
        return [self.img2img.form.arriving, self.img2img.inputs, self.tabs]


# Which picture is meant: that on display, or one of the Gallery tab that the page's scripts send this way.
SENT: Final = "(shown, selected) => window.webui.sentPicture(shown, selected)"


def wire_results_sending(results: Results, to: Destinations, services: Services, uploads: UploadStore) -> None:
    """Connect the buttons under a gallery."""
    for target, button in results.sends.items():
        inputs: list[gr.components.Component] = [results.shown, results.selected]
        wire_sending(button, target, inputs, _of_job(services, uploads), to, services, uploads, js=SENT)


def _of_job(services: Services, uploads: UploadStore) -> Callable[..., tuple[Path, str] | None]:
    def find(viewer: Viewer, job_id: str, index: float) -> tuple[Path, str] | None:
        if job_id.startswith("{"):
            return picture_of_gallery(job_id, uploads)
        images = shown_pictures(services, viewer, job_id)
        if not 0 <= int(index) < len(images):
            return None
        return images[int(index)].path, images[int(index)].infotext

    return find


def picture_of_gallery(text: str, uploads: UploadStore) -> tuple[Path, str] | None:
    """A picture that was uploaded, with the infotext that the gallery's index has of it. Raises PictureError."""
    try:
        sent = json.loads(text)
    except ValueError:
        return None
    if not isinstance(sent, dict):
        return None
    return uploads.path(str(sent.get("picture"))), str(sent.get("infotext", ""))


def wire_sending(
    button: gr.Button,
    target: str,
    inputs: list[gr.components.Component],
    find: Callable[..., tuple[Path, str] | None],
    to: Destinations,
    services: Services,
    uploads: UploadStore,
    *,
    js: str | None = None,
) -> None:
    """Connect one button: `find` turns viewer and values of `inputs` into a picture's file and its infotext.

    `js` is a function of the page that says other values than those of `inputs`.
    """
    notice = gr.Textbox("", visible="hidden", elem_id=f"{button.elem_id}_notice")
    arrival = gr.Textbox("", visible="hidden", elem_id=f"{button.elem_id}_arrival")
    form = to.img2img.form

    def send(pressed: gr.Request, *values: object) -> list[Any]:
        nothing = ["", gr.skip(), gr.skip(), ""]
        try:
            found = find(pressed_by(pressed), *values)
            if found is None:
                return [*nothing, message(NOTHING, "error")]
            upload = uploads.put(found[0].read_bytes())
        except (PictureError, SaveError) as error:
            return [*nothing, message(str(error), "error")]
        except OSError as error:
            return [*nothing, message(f"{NOTHING} {error.strerror}.", "error")]
        arrives = json.dumps({"slot": target, **as_json(upload)})
        if target == "extras":
            return ["", gr.skip(), gr.Tabs(selected="extras"), arrives, ""]
        sent, notices = sent_values(services, found[1], upload)
        notice = message("\n".join(notices))
        return [form.arrival(sent), gr.Tabs(selected=target), gr.Tabs(selected="img2img"), arrives, notice]

    outputs = [*to.outputs, arrival, notice]
    sent = button.click(send, inputs, outputs, preprocess=False, js=js, **QUICK)
    form.fill(sent).then(None, arrival, None, js=ARRIVE).then(None, notice, None, js=SAY)


def sent_values(services: Services, infotext: str, picture: Upload) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """What the img2img form takes over with a picture. The size is the picture's own, as far as the sliders go.

    The strength stays that of the form where the picture's is of a hires pass.
    """
    values, notices = form_values(services, infotext) if infotext.strip() else ({}, ())
    if values.get("enable_hr"):
        values.pop("denoising_strength", None)
    if not services.options.switch("send_seed"):
        values = {name: value for name, value in values.items() if name not in SEEDS}
    size = ("width", "height", SIZE_FROM, SCALE)
    # What is sent on is worked on anew: the script that made it is not chosen again.
    values = {name: value for name, value in values.items() if name not in size and not is_of_script(name)}
    if services.options.switch("send_size"):
        factor = min(1.0, LONGEST_SIDE / max(picture.width, picture.height))
        sides = (max(64, round(side * factor / 8) * 8) for side in (picture.width, picture.height))
        values |= dict(zip(("width", "height"), sides, strict=True)) | {SIZE_FROM: RESIZE_TO}
    return values, tuple(notices)
