"""The img2img tab: five ways to start from a picture, a sixth for many, and A1111's settings for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.page import listing
from modules.page.batch import NAME as BATCH
from modules.page.batch import Batch, build_batch
from modules.page.cards_tab import tabs_of_cards
from modules.page.controls import Controls, radio, slider
from modules.page.extra_options import build_extra_options
from modules.page.form import MASK_ALPHA, RESIZE_BY, RESIZE_TO, SCALE, SIZE_FROM, Form, arriving_box
from modules.page.init_pictures import TITLES
from modules.page.parts import (
    Buttons,
    GenerationTab,
    batch_sliders,
    distilled_slider,
    override_list,
    prompt_controls,
    sampling_row,
    seed_rows,
    side_sliders,
)
from modules.page.prompts import build_prompt_row
from modules.page.refiner import build_refiner
from modules.page.results import build_results
from modules.page.scripts import build_scripts
from modules.page.slots import Brush, build_slot
from modules.settings.choices import MASKED_CONTENTS

if TYPE_CHECKING:
    from modules.jobs.services import Services
    from modules.settings import OptionStore

MODE: Final = "img2img"
RESIZE_MODES: Final = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
MASK_MODES: Final = ("Inpaint masked", "Inpaint not masked")
AREAS: Final = ("Whole picture", "Only masked")
_BRUSHES: Final[dict[str, Brush]] = {"sketch": "colour", "inpaint": "mask", "inpaint_sketch": "colour"}
# The settings that hold their first colours.
_COLOURS: Final = {
    "sketch": "img2img_sketch_default_brush_color",
    "inpaint": "img2img_inpaint_mask_brush_color",
    "inpaint_sketch": "img2img_inpaint_sketch_default_brush_color",
}
# Between these "Copy image to" goes.
COPIED: Final = ("img2img", "sketch", "inpaint", "inpaint_sketch")


@dataclass(frozen=True, slots=True)
class Img2Img(GenerationTab):
    """The built tab. `inputs` are its sub-tabs; `copies` the buttons that copy the open one's picture to another."""

    inputs: gr.Tabs
    batch: Batch
    copies: dict[str, gr.Button]
    detect: gr.Button


def build_img2img(services: Services, *, folder_button: bool) -> Img2Img:
    """Lay out the tab inside the page being built."""
    top = build_prompt_row(MODE, listing.style_choices(services))
    with (
        tabs_of_cards(MODE, services.options),
        gr.Row(equal_height=False, elem_classes=["halves"]),
    ):
        with gr.Column(elem_id=f"{MODE}_settings", min_width=320):
            inputs, batch, copies = _inputs(services.options)
            resize = {"resize_mode": radio("resize_mode", MODE, RESIZE_MODES)}
            masking = _masking()
            sampling = sampling_row(services, MODE)
            refiner, refresh = build_refiner(services, MODE)
            size, swap, detect = _size()
            with gr.Row():
                strengths: Controls = {name: slider(name, MODE) for name in ("cfg_scale", "denoising_strength")}
                strengths |= distilled_slider(services, MODE)
                # Only instruct-pix2pix has a use for it; hidden, its value still goes along.
                edits = listing.follows_pictures(services, services.current_checkpoint())
                strengths["image_cfg_scale"] = slider("image_cfg_scale", MODE, visible=edits or "hidden")
            seeds, seed_buttons = seed_rows(MODE)
            overrides = {**override_list(MODE), **build_extra_options(services, MODE)}
            scripts = build_scripts(services, MODE)
        results = build_results(MODE, folder_button=folder_button, height=services.options.text("gallery_height"))
    rows = (prompt_controls(top), masking, resize, sampling, refiner, size, strengths, seeds, overrides, scripts)
    controls = {name: control for row in rows for name, control in row.items()}
    form = Form(MODE, controls, arriving_box(MODE))
    return Img2Img(form, top, Buttons(swap, refresh, *seed_buttons), results, inputs, batch, copies, detect)


def _inputs(options: OptionStore) -> tuple[gr.Tabs, Batch, dict[str, gr.Button]]:
    height = options.whole("img2img_editor_height")
    with gr.Tabs(elem_id="mode_img2img") as tabs:
        for name, title in TITLES.items():
            with gr.Tab(title, id=name, elem_id=f"img2img_{name}_tab"):
                colour = options.text(_COLOURS[name]) if name in _COLOURS else ""
                build_slot(name, "Picture", _BRUSHES.get(name, ""), colour=colour, height=height)
                if name == "inpaint_upload":
                    build_slot("inpaint_mask", "Mask", height=200)
        with gr.Tab("Batch", id=BATCH, elem_id="img2img_batch_tab"):
            batch = build_batch()
    with gr.Row(elem_id="img2img_copy_to", elem_classes=["copy-to"]):
        gr.HTML("<span>Copy image to</span>", elem_classes=["copy-label"])
        copies = {name: gr.Button(TITLES[name], size="sm", elem_id=f"img2img_copy_to_{name}") for name in COPIED}
    return tabs, batch, copies


def _masking() -> Controls:
    """Shown by the style sheet while a sub-tab with a mask is open."""
    with gr.Column(elem_id="inpaint_controls"):
        controls: Controls = {"mask_blur_x": slider("mask_blur_x", MODE)}
        controls[MASK_ALPHA] = gr.Slider(
            0, 100, 0, step=1, label="Mask transparency", elem_id=f"{MODE}_mask_alpha", buttons=[]
        )
        controls["inpainting_mask_invert"] = radio("inpainting_mask_invert", MODE, MASK_MODES)
        controls["inpainting_fill"] = radio("inpainting_fill", MODE, MASKED_CONTENTS)
        with gr.Row():
            controls["inpaint_full_res"] = radio("inpaint_full_res", MODE, AREAS, min_width=200)
            controls["inpaint_full_res_padding"] = slider("inpaint_full_res_padding", MODE, min_width=200)
    return controls


def _size() -> tuple[Controls, gr.Button, gr.Button]:
    """The sliders, or a scale of the picture: the style sheet shows the one that is chosen."""
    chosen = gr.Radio([RESIZE_TO, RESIZE_BY], value=RESIZE_TO, show_label=False, elem_id=f"{MODE}_size_from")
    with gr.Row(elem_classes=["sizes"]):
        with gr.Row(elem_id=f"{MODE}_resize_to", elem_classes=["sizes"], scale=5):
            sides, (swap, detect) = side_sliders(MODE, ("📏", f"{MODE}_detect_size"))
        with gr.Column(elem_id=f"{MODE}_resize_by", scale=5, min_width=200):
            scale = gr.Slider(0.05, 4, value=1, step=0.05, label="Scale", elem_id=f"{MODE}_scale", buttons=[])
            line = gr.HTML("", elem_id=f"{MODE}_scale_resolution_preview", elem_classes=["hint"])
        batch = batch_sliders(MODE)
        # The picture may change as well: the scripts press this when one has.
        refresh = gr.Button("Refresh", visible="hidden", elem_id=f"{MODE}_scale_refresh")
    gr.on(
        [scale.change, refresh.click, chosen.change],
        None,
        scale,
        line,
        js="(scale) => `<p>${window.webui?.scaleLine(scale) ?? ''}</p>`",
    )
    return {SIZE_FROM: chosen, **sides, SCALE: scale, **batch}, swap, detect
