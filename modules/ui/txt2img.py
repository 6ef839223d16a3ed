"""The txt2img tab: A1111's layout, every control made from the request's declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.ui import listing
from modules.ui.controls import dropdown, slider, textbox, tool_button
from modules.ui.form import EXTRA, OVERRIDES, Form
from modules.ui.prompts import PromptRow, build_prompt_row
from modules.ui.results import Results, build_results

if TYPE_CHECKING:
    from modules.jobs.services import Services

MODE: Final = "txt2img"


@dataclass(frozen=True, slots=True)
class Buttons:
    """The small buttons among the settings."""

    swap: gr.Button
    random_seed: gr.Button
    reuse_seed: gr.Button
    random_subseed: gr.Button
    reuse_subseed: gr.Button


@dataclass(frozen=True, slots=True)
class Txt2Img:
    """The built tab: what events are wired to."""

    form: Form
    top: PromptRow
    buttons: Buttons
    results: Results


def build_txt2img(services: Services, *, folder_button: bool) -> Txt2Img:
    """Lay out the tab inside the page being built."""
    top = build_prompt_row(MODE, listing.style_names(services))
    with gr.Row(equal_height=False, elem_classes=["halves"]):
        with gr.Column(elem_id=f"{MODE}_settings", min_width=320):
            sampling = _sampling(services)
            size, swap = _size()
            cfg = {"cfg_scale": slider("cfg_scale", MODE)}
            seeds, seed_buttons = _seeds()
            # The style sheet shows the list only while something is in it.
            overrides = {OVERRIDES: dropdown(OVERRIDES, MODE, (), multiselect=True, allow_custom_value=True)}
        results = build_results(MODE, folder_button=folder_button)
    prompts = {"prompt": top.prompt, "negative_prompt": top.negative_prompt, "styles": top.styles}
    form = Form(MODE, {**prompts, **sampling, **size, **cfg, **seeds, **overrides})
    return Txt2Img(form, top, Buttons(swap, *seed_buttons), results)


def _sampling(services: Services) -> dict[str, gr.components.Component]:
    with gr.Row(elem_id=f"sampler_selection_{MODE}"):
        return {
            "sampler_name": dropdown("sampler_name", MODE, listing.samplers(services), min_width=120),
            "scheduler": dropdown("scheduler", MODE, listing.schedules(), min_width=120),
            "steps": slider("steps", MODE, min_width=200, scale=2),
        }


def _size() -> tuple[dict[str, gr.components.Component], gr.Button]:
    with gr.Row(elem_classes=["sizes"]):
        with gr.Column(scale=4, min_width=200, elem_id=f"{MODE}_column_size"):
            sides = {name: slider(name, MODE) for name in ("width", "height")}
        with gr.Column(scale=0, min_width=40, elem_id=f"{MODE}_dimensions_row"):
            swap = tool_button("⇅", f"{MODE}_res_switch_btn")
        with gr.Column(scale=2, min_width=160, elem_id=f"{MODE}_column_batch"):
            batch = {name: slider(name, MODE) for name in ("n_iter", "batch_size")}
    return {**sides, **batch}, swap


def _seeds() -> tuple[dict[str, gr.components.Component], list[gr.Button]]:
    with gr.Row(elem_id=f"{MODE}_seed_row", elem_classes=["with-tool", "seed-row"]):
        seed = textbox("seed", MODE, max_lines=1, scale=4, min_width=120)
        buttons = [tool_button("🎲️", f"{MODE}_random_seed"), tool_button("♻️", f"{MODE}_reuse_seed")]
        extra = gr.Checkbox(False, label="Extra", elem_id=f"{MODE}_subseed_show", scale=0, min_width=90)
    # Shown by the style sheet while Extra is ticked.
    with gr.Column(elem_id=f"{MODE}_seed_extras"):
        with gr.Row(elem_classes=["with-tool", "seed-row"]):
            subseed = textbox("subseed", MODE, max_lines=1, scale=2, min_width=120)
            buttons += [tool_button("🎲️", f"{MODE}_random_subseed"), tool_button("♻️", f"{MODE}_reuse_subseed")]
            strength = slider("subseed_strength", MODE, scale=3, min_width=160)
        with gr.Row():
            sides = {name: slider(name, MODE) for name in ("seed_resize_from_w", "seed_resize_from_h")}
    return {"seed": seed, EXTRA: extra, "subseed": subseed, "subseed_strength": strength, **sides}, buttons
