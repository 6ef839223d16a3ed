"""What txt2img and img2img have in common: the rows of controls, and the parts that events are wired to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from modules.page import listing
from modules.page.controls import Controls, dropdown, element_id, slider, textbox, tool_button
from modules.page.form import EXTRA, OVERRIDES, Form
from modules.page.prompts import PromptRow
from modules.page.results import Results
from modules.parameters import GenerationRequest, parameter_of

if TYPE_CHECKING:
    from modules.jobs.services import Services


@dataclass(frozen=True, slots=True)
class Buttons:
    """The small buttons among the settings."""

    swap: gr.Button
    refresh_refiners: gr.Button
    random_seed: gr.Button
    reuse_seed: gr.Button
    random_subseed: gr.Button
    reuse_subseed: gr.Button


@dataclass(frozen=True, slots=True)
class GenerationTab:
    """A built tab that makes pictures: what events are wired to."""

    form: Form
    top: PromptRow
    buttons: Buttons
    results: Results


def prompt_controls(top: PromptRow) -> Controls:
    """The top row's fields of the form."""
    return {"prompt": top.prompt, "negative_prompt": top.negative_prompt, "styles": top.styles}


def sampling_row(services: Services, mode: str) -> Controls:
    """Sampler, schedule and steps."""
    with gr.Row(elem_id=f"sampler_selection_{mode}"):
        return {
            "sampler_name": _samplers(services, mode),
            "scheduler": dropdown("scheduler", mode, listing.schedules(), min_width=120),
            "steps": slider("steps", mode, min_width=200, scale=2),
        }


def _samplers(services: Services, mode: str) -> gr.components.Component:
    if services.options.switch("samplers_in_dropdown"):
        return dropdown("sampler_name", mode, listing.samplers(services), min_width=120)
    declared = parameter_of(GenerationRequest, "sampler_name")
    return gr.Radio(
        label=declared.parameter.label,
        choices=listing.samplers(services),
        value=str(declared.default_for(mode)),
        elem_id=element_id("sampler_name", mode),
        min_width=400,
    )


def side_sliders(mode: str, *more: tuple[str, str]) -> tuple[Controls, list[gr.Button]]:
    """Width and height; the button that swaps them, and `more` beneath it (symbol and element id)."""
    with gr.Column(scale=4, min_width=200, elem_id=f"{mode}_column_size"):
        sides: Controls = {name: slider(name, mode) for name in ("width", "height")}
    with gr.Column(scale=0, min_width=40, elem_id=f"{mode}_dimensions_row"):
        buttons = [tool_button(*said) for said in (("⇅", f"{mode}_res_switch_btn"), *more)]
    return sides, buttons


def batch_sliders(mode: str) -> Controls:
    """Batch count and batch size."""
    with gr.Column(scale=2, min_width=210, elem_id=f"{mode}_column_batch"):
        return {name: slider(name, mode) for name in ("n_iter", "batch_size")}


def seed_rows(mode: str) -> tuple[Controls, list[gr.Button]]:
    """The seed and, while Extra is ticked, the variation seed."""
    with gr.Row(elem_id=f"{mode}_seed_row", elem_classes=["with-tool", "seed-row"]):
        seed = textbox("seed", mode, max_lines=1, scale=4, min_width=120)
        buttons = [tool_button("🎲️", f"{mode}_random_seed"), tool_button("♻️", f"{mode}_reuse_seed")]
        extra = gr.Checkbox(False, label="Extra", elem_id=f"{mode}_subseed_show", scale=0, min_width=90)
    # Shown by the style sheet while Extra is ticked.
    with gr.Column(elem_id=f"{mode}_seed_extras"):
        with gr.Row(elem_classes=["with-tool", "seed-row"]):
            subseed = textbox("subseed", mode, max_lines=1, scale=2, min_width=120)
            buttons += [tool_button("🎲️", f"{mode}_random_subseed"), tool_button("♻️", f"{mode}_reuse_subseed")]
            strength = slider("subseed_strength", mode, scale=3, min_width=160)
        with gr.Row():
            sides = {name: slider(name, mode) for name in ("seed_resize_from_w", "seed_resize_from_h")}
    return {"seed": seed, EXTRA: extra, "subseed": subseed, "subseed_strength": strength, **sides}, buttons


def override_list(mode: str) -> Controls:
    """Settings for this request only; the style sheet shows the list only while something is in it."""
    return {OVERRIDES: dropdown(OVERRIDES, mode, (), multiselect=True, allow_custom_value=True)}


def distilled_slider(services: Services, mode: str) -> Controls:
    """Forge's distilled CFG scale under the name of what it does; hidden where the checkpoint has no use for it, its
    value still goes along.
    """
    made = slider("distilled_cfg_scale", mode, visible="hidden")
    label = listing.distilled_scale(services, services.current_checkpoint())
    if label is not None:
        made.label, made.visible = label, True
    return {"distilled_cfg_scale": made}
