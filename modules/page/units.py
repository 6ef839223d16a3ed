"""Units of a script on a tab: one hidden text with all their values, and a form that assets/units.js draws.

A Gradio component for every argument of every unit would be hundreds more on each tab, and the page would wait for all
of them before anything shows.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.features.declaration import Argument
from modules.features.pictures import script_pictures
from modules.page.uploads import UploadStore
from modules.parameters import GenerationRequest, RequestError
from modules.pictures import PictureError

if TYPE_CHECKING:
    pass

# A form of units is at most this long: numbers, words and prompts, no pictures.
LONGEST_FORM: Final = 2_000_000


def build_units(argument: Argument, mode: str, title: str, slug: str, elem_id: str) -> gr.Textbox:
    """The hidden text of a script's units, and the place where their form is drawn, in the accordion being built."""
    said = {
        "data-units": slug,
        "data-mode": mode,
        "data-name": argument.name,
        "data-text": elem_id,
        "aria-label": title,
    }
    attributes = " ".join(f'{key}="{html.escape(value)}"' for key, value in said.items())
    gr.HTML(f'<div class="units" {attributes}></div>', elem_classes=["units-block"], padding=False)
    text = gr.Textbox(units_text([]), visible="hidden", elem_id=elem_id, show_label=False)
    text.change(None, text, None, js=f"(text) => window.webui?.showUnits('{elem_id}', text)")
    return text


def units_text(units: Sequence[object]) -> str:
    """The text of a form with these units."""
    return json.dumps(list(units), ensure_ascii=False)


def read_units(text: object, label: str) -> list[Any]:
    """The units of a form's text. Raises RequestError for anything else."""
    try:
        units = json.loads(str(text)[:LONGEST_FORM]) if text else []
    except ValueError:
        units = None
    if not isinstance(units, list):
        raise RequestError(f"{label} could not be read: reload the page.")
    return units


def with_unit_pictures(
    request: GenerationRequest, inputs: Mapping[str, bytes], uploads: UploadStore
) -> dict[str, bytes]:
    """`inputs` and the pictures that the units of a form name. Raises RequestError for one that is gone."""
    try:
        return {**inputs, **{name: uploads.get(name) for name in script_pictures(request.scripts)}}
    except PictureError as error:
        raise RequestError(str(error)) from error
