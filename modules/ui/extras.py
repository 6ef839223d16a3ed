"""The Extras tab: a finished picture enlarged without a model, its parameters kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.gallery import PictureError, SaveError, encode_picture, read_metadata, write_atomic
from modules.gallery.enlarging import SCALE_BY, SCALE_TO, Enlargement, enlarge
from modules.gallery.opening import open_picture
from modules.parameters.upscalers import PIXEL_UPSCALERS
from modules.ui.messages import SAY, told
from modules.ui.results import infotext_html
from modules.ui.shelf import PictureShelf
from modules.ui.slots import build_slot

if TYPE_CHECKING:
    from modules.jobs.services import Services

_NAMES: Final = (
    *("Upscaler 1", "Upscaler 2", "Upscaler 2 visibility", "Scale by or to"),
    *("Resize", "Max side length", "Width", "Height", "Crop to fit"),
)
_NO_PICTURE: Final = "There is no picture on the Extras tab: drop one there, or send one from a gallery."


@dataclass(frozen=True, slots=True)
class Extras:
    """The components that events need; `controls` are in the order of Enlargement's fields."""

    controls: list[gr.components.Component]
    generate: gr.Button
    result: gr.Gallery
    infotext: gr.HTML


def build_extras() -> Extras:
    """Lay out the tab inside the page being built."""
    with gr.Row(equal_height=False, elem_classes=["halves"]):
        with gr.Column(min_width=320):
            build_slot("extras", "Source")
            controls = _controls()
        with gr.Column(min_width=320):
            generate = gr.Button("Generate", variant="primary", elem_id="extras_generate")
            result = gr.Gallery(
                label="Output",
                show_label=False,
                elem_id="extras_gallery",
                columns=1,
                object_fit="contain",
                format="png",
                preview=True,
                height="min(60vh, 560px)",
                interactive=False,
                buttons=["download", "fullscreen"],
            )
            infotext = gr.HTML("", elem_id="html_info_extras", elem_classes=["infotext"])
    return Extras(controls, generate, result, infotext)


def _controls() -> list[gr.components.Component]:
    with gr.Row():
        first = gr.Dropdown(list(PIXEL_UPSCALERS), value="Lanczos", label="Upscaler 1", elem_id="extras_upscaler_1")
        second = gr.Dropdown(list(PIXEL_UPSCALERS), value="None", label="Upscaler 2", elem_id="extras_upscaler_2")
        share = gr.Slider(
            0, 1, 0, step=0.001, label="Upscaler 2 visibility", elem_id="extras_upscaler_2_visibility", buttons=[]
        )
    mode = gr.Radio(
        [("Scale by", SCALE_BY), ("Scale to", SCALE_TO)], value=SCALE_BY, show_label=False, elem_id="extras_mode"
    )
    with gr.Row(elem_id="extras_scale_by"):
        scale = gr.Slider(1, 8, 4, step=0.05, label="Resize", elem_id="extras_upscaling_resize", buttons=[])
        longest = gr.Slider(0, 8192, 0, step=8, label="Max side length", elem_id="extras_max_side_length", buttons=[])
    with gr.Row(elem_id="extras_scale_to"):
        width = gr.Slider(64, 8192, 512, step=8, label="Width", elem_id="extras_upscaling_resize_w", buttons=[])
        height = gr.Slider(64, 8192, 512, step=8, label="Height", elem_id="extras_upscaling_resize_h", buttons=[])
        crop = gr.Checkbox(True, label="Crop to fit", elem_id="extras_upscaling_crop", min_width=120)
    return [first, second, share, mode, scale, longest, width, height, crop]


def wire_extras(tab: Extras, services: Services, shelf: PictureShelf) -> None:
    """Connect Generate."""
    source = gr.Textbox("", visible="hidden", elem_id="extras_source")
    notice = gr.Textbox("", visible="hidden", elem_id="extras_notice")

    def run(*values: object) -> tuple[Any, Any, str]:
        *fields, picture = values
        try:
            path, infotext = enlarged(services, shelf, str(picture or ""), enlargement(fields))
        except (PictureError, SaveError) as error:
            return gr.skip(), gr.skip(), told(str(error), "error")
        return gr.Gallery(value=[str(path)], selected_index=0), infotext_html(infotext), ""

    tab.generate.click(
        run,
        [*tab.controls, source],
        [tab.result, tab.infotext, notice],
        js="async (...values) => [...values.slice(0, -1), await window.webui.source('extras')]",
        preprocess=False,
        queue=False,
        api_visibility="private",
    ).then(None, notice, None, js=SAY)


def enlargement(fields: list[Any]) -> Enlargement:
    """The controls' values as what they ask for. Raises PictureError naming the one that is empty."""
    names = (
        "Upscaler 1",
        "Upscaler 2",
        "Upscaler 2 visibility",
        "Scale",
        "Resize",
        "Max side length",
        "Width",
        "Height",
    )
    for name, value in zip(names, fields, strict=False):
        if value is None:
            raise PictureError(f"{name} is empty: give it a value.")
    first, second, share, mode, scale, longest, width, height, crop = fields
    if not 0 < scale <= 64 or not (1 <= width <= 16384 and 1 <= height <= 16384):
        raise PictureError("The size is out of bounds: enlarge by at most 64, to sides of at most 16384.")
    return Enlargement(
        str(first),
        str(second),
        min(1.0, max(0.0, float(share))),
        mode=int(mode),
        scale=float(scale),
        longest_side=max(0, int(longest)),
        width=int(width),
        height=int(height),
        crop=bool(crop),
    )


def enlarged(services: Services, shelf: PictureShelf, told_source: str, asked: Enlargement) -> tuple[Path, str]:
    """Enlarge and save: the file, and its infotext. Raises PictureError and SaveError with one sentence."""
    found = json.loads(told_source) if told_source else {}
    if found.get("error"):
        raise PictureError(str(found["error"]))
    if not found.get("picture"):
        raise PictureError(_NO_PICTURE)
    data = shelf.get(str(found["picture"]))
    image = enlarge(open_picture(data, "The picture"), asked)
    infotext = read_metadata(data).infotext
    chunks = {"postprocessing": asked.note, "extras": asked.note} if asked.note else None
    encoded, extension = encode_picture(image, services.options.as_dict(), infotext, chunks=chunks)
    path = _saved(services.gallery.folder("extras"), encoded, extension)
    return path, "\n".join(text for text in (infotext, asked.note) if text)


def _saved(folder: Path, data: bytes, extension: str) -> Path:
    """Written under the next free number, A1111's way of naming these."""
    numbers = [int(path.stem[:5]) for path in folder.glob("[0-9]" * 5 + ".*")]
    number = max(numbers, default=-1) + 1
    while True:
        path = folder / f"{number:05}.{extension}"
        try:
            write_atomic(path, data)
        except FileExistsError:
            number += 1
        else:
            return path
