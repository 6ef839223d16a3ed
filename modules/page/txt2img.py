"""The txt2img tab: A1111's layout, every control made from the request's declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.page import listing
from modules.page.cards_tab import tabs_of_cards
from modules.page.controls import slider
from modules.page.extra_options import build_extra_options
from modules.page.form import Form, arriving_box
from modules.page.hires import build_hires
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

if TYPE_CHECKING:
    from modules.jobs.services import Services

MODE: Final = "txt2img"


@dataclass(frozen=True, slots=True)
class Txt2Img(GenerationTab):
    """The built tab. `hires_line` says from which size to which the hires pass goes."""

    hires_line: gr.HTML


def build_txt2img(services: Services, *, folder_button: bool) -> Txt2Img:
    """Lay out the tab inside the page being built."""
    top = build_prompt_row(MODE, listing.style_choices(services))
    with (
        tabs_of_cards(MODE, services.options),
        gr.Row(equal_height=False, elem_classes=["halves"]),
    ):
        with gr.Column(elem_id=f"{MODE}_settings", min_width=320):
            sampling = sampling_row(services, MODE)
            hires, line = build_hires(services)
            refiner, refresh = build_refiner(services, MODE)
            with gr.Row(elem_classes=["sizes"]):
                sides, (swap,) = side_sliders(MODE)
                size = {**sides, **batch_sliders(MODE)}
            cfg = {"cfg_scale": slider("cfg_scale", MODE), **distilled_slider(services, MODE)}
            seeds, seed_buttons = seed_rows(MODE)
            overrides = {**override_list(MODE), **build_extra_options(services, MODE)}
            scripts = build_scripts(services, MODE)
        results = build_results(MODE, folder_button=folder_button, height=services.options.text("gallery_height"))
    rows = (prompt_controls(top), sampling, hires, refiner, size, cfg, seeds, overrides, scripts)
    controls = {name: control for row in rows for name, control in row.items()}
    form = Form(MODE, controls, arriving_box(MODE))
    return Txt2Img(form, top, Buttons(swap, refresh, *seed_buttons), results, line)
