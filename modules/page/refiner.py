"""The Refiner part of txt2img and img2img: another checkpoint that goes on with a picture from a share of it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.page.controls import Controls, dropdown, element_id, slider, tool_button
from modules.page.file_lists import FileList
from modules.page.form import REFINER
from modules.page.option_choices import checkpoint_choices
from modules.page.parts import GenerationTab

if TYPE_CHECKING:
    from modules.jobs.services import Services

_CHECKPOINT: Final = "refiner_checkpoint"
# No refiner, in A1111's word and as the request has it.
_NONE: Final = ("None", "")


def refresh_id(mode: str) -> str:
    """The DOM id of the button that lists the checkpoints anew."""
    return f"{mode}_checkpoint_refresh"


def build_refiner(services: Services, mode: str) -> tuple[Controls, gr.Button]:
    """Lay it out inside the tab being built: the controls, and the button that lists the checkpoints anew."""
    with gr.Row(elem_id=f"{mode}_refiner_head", elem_classes=["ticked-head"]):
        enable = gr.Checkbox(False, label="Refiner", elem_id=element_id(REFINER, mode))
    # Shown by the style sheet while the box is ticked.
    with gr.Column(elem_id=f"{mode}_enable", elem_classes=["ticked"]), gr.Row():
        with gr.Row(elem_classes=["with-tool"]):
            checkpoint = dropdown(_CHECKPOINT, mode, [_NONE, *checkpoint_choices(services)], min_width=160)
            refresh = tool_button("🔄", refresh_id(mode))
        switch_at = slider("refiner_switch_at", mode, min_width=160)
    return {REFINER: enable, _CHECKPOINT: checkpoint, "refiner_switch_at": switch_at}, refresh


def refiner_list(tab: GenerationTab, services: Services) -> FileList:
    """The list of checkpoints of a tab's refiner."""
    return FileList(tab.form.controls[_CHECKPOINT], lambda: [_NONE, *checkpoint_choices(services)], "")
