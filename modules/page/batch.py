"""The Batch sub-tab of img2img: where its files come from, where their pictures go, what is taken from their texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import gradio as gr

from modules.gallery.allowed_folders import PICTURE_SUFFIXES

NAME: Final = "batch"
# What may be taken from the texts of a picture, in A1111's words.
PROPERTIES: Final = ("Prompt", "Negative prompt", "Seed", "CFG scale", "Sampler", "Steps", "Model hash")
_HINT: Final = (
    "<p>Folders of the machine that runs the server. Without an output directory the pictures are saved as all others "
    "are; with a mask directory each picture is inpainted with the mask that has its name, or all with the only one."
    "</p>"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """The controls; their values come in this order."""

    files: gr.File
    input_dir: gr.Textbox
    output_dir: gr.Textbox
    mask_dir: gr.Textbox
    use_png_info: gr.Checkbox
    png_info_dir: gr.Textbox
    properties: gr.CheckboxGroup

    @property
    def components(self) -> list[gr.components.Component]:
        return [getattr(self, name) for name in self.__dataclass_fields__]


def build_batch() -> Batch:
    """Lay out the sub-tab inside the tab being built."""
    with gr.Tabs(elem_id="img2img_batch_source"):
        with gr.Tab("Upload", id="batch_upload", elem_id="img2img_batch_upload_tab"):
            files = gr.File(
                label="Files",
                file_count="multiple",
                file_types=sorted(PICTURE_SUFFIXES),
                height=220,
                elem_id="img2img_batch_upload",
            )
        with gr.Tab("From directory", id="batch_from_dir", elem_id="img2img_batch_from_dir_tab"):
            gr.HTML(_HINT, elem_classes=["hint"])
            input_dir = _folder("Input directory", "input_dir")
            output_dir = _folder("Output directory", "output_dir")
            mask_dir = _folder("Inpaint batch mask directory (required for inpaint batch processing only)", "mask_dir")
    with gr.Accordion("PNG info", open=False, elem_id="img2img_batch_png_info"):
        use = gr.Checkbox(False, label="Append png info to prompts", elem_id="img2img_batch_use_png_info")
        png_info_dir = _folder(
            "PNG info directory", "png_info_dir", placeholder="Leave empty to use the pictures themselves"
        )
        properties = gr.CheckboxGroup(
            list(PROPERTIES),
            value=[],
            label="Parameters to take from png info",
            info="Prompts are put after those of the page.",
            elem_id="img2img_batch_png_info_props",
        )
    return Batch(files, input_dir, output_dir, mask_dir, use, png_info_dir, properties)


def _folder(label: str, name: str, placeholder: str | None = None) -> gr.Textbox:
    return gr.Textbox(label=label, max_lines=1, elem_id=f"img2img_batch_{name}", placeholder=placeholder)
