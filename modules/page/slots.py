"""The places for pictures: filled, painted on and emptied by assets/slot.js, which knows them by their names."""

from __future__ import annotations

import html
from typing import Final, Literal

import gradio as gr

# A1111's element ids: user scripts and style sheets know them.
ELEMENT_IDS: Final = {
    "img2img": "img2img_image",
    "sketch": "img2img_sketch",
    "inpaint": "img2maskimg",
    "inpaint_sketch": "inpaint_sketch",
    "inpaint_upload": "img_inpaint_base",
    "inpaint_mask": "img_inpaint_mask",
    "extras": "extras_image",
    "pnginfo": "pnginfo_image",
}
# What the brush does: nothing, a mask, or colour.
Brush = Literal["", "mask", "colour"]


def build_slot(name: str, label: str, brush: Brush = "", *, colour: str = "", height: int = 480) -> gr.HTML:
    """A place for one picture inside the page being built; `colour` is the brush's, `height` the most it may have."""
    said = {"data-slot": name, "data-brush": brush, "data-colour": colour, "aria-label": label}
    attributes = " ".join(f'{key}="{html.escape(value)}"' for key, value in said.items())
    inside = f'<div class="slot" {attributes} style="--editor-height: {height}px"></div>'
    return gr.HTML(inside, elem_id=ELEMENT_IDS.get(name, name), elem_classes=["slot-block"], padding=False)
