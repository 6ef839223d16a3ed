"""The Hires. fix part of txt2img: enlarge the first result, and go over it once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.page import listing
from modules.page.controls import Controls, checkbox, dropdown, slider, textbox
from modules.page.file_lists import FileList
from modules.page.parts import GenerationTab
from modules.settings.choices import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULE

if TYPE_CHECKING:
    from modules.jobs.services import Services

MODE: Final = "txt2img"
# What the size line under the checkbox follows, in the order of its script.
SIZE_FIELDS: Final = ("width", "height", "hr_scale", "hr_resize_x", "hr_resize_y")
SAMPLER_FIELDS: Final = ("hr_checkpoint_name", "hr_sampler_name", "hr_scheduler")
PROMPT_FIELDS: Final = ("hr_prompt", "hr_negative_prompt")
FIELDS: Final = (
    "hr_upscaler",
    "hr_second_pass_steps",
    "denoising_strength",
    "hr_scale",
    "hr_resize_x",
    "hr_resize_y",
    *SAMPLER_FIELDS,
    *PROMPT_FIELDS,
)


def build_hires(services: Services) -> tuple[Controls, gr.HTML]:
    """Lay it out inside the tab being built: the controls, and the line that says the sizes."""
    with gr.Row(elem_id="txt2img_hires_head", elem_classes=["with-tool", "ticked-head"]):
        enable = checkbox("enable_hr", MODE)
        line = gr.HTML("", elem_id="txtimg_hr_finalres", elem_classes=["hires-line"])
    # Shown by the style sheet while the box is ticked.
    with gr.Column(elem_id="txt2img_hr", elem_classes=["ticked"]):
        with gr.Row():
            passes: Controls = {
                "hr_upscaler": dropdown("hr_upscaler", MODE, listing.hires_upscalers(services), min_width=140),
                "hr_second_pass_steps": slider("hr_second_pass_steps", MODE, min_width=140),
                "denoising_strength": slider("denoising_strength", MODE, min_width=140),
            }
        gr.HTML(listing.upscalers_note(services), elem_classes=["hint", listing.UPSCALERS_NOTE], padding=False)
        with gr.Row():
            sizes: Controls = {name: slider(name, MODE, min_width=140) for name in SIZE_FIELDS if name[:3] == "hr_"}
        own = {**_sampling(services), **_prompts(services)}
    return {"enable_hr": enable, **passes, **sizes, **own}, line


def hires_list(tab: GenerationTab, services: Services) -> FileList:
    """The list of checkpoints of the hires pass."""
    return FileList(tab.form.controls["hr_checkpoint_name"], lambda: hires_checkpoints(services), SAME_CHECKPOINT)


def hires_checkpoints(services: Services) -> list[str]:
    """What a hires pass can run with: the first pass's checkpoint, or any."""
    return [SAME_CHECKPOINT, *listing.checkpoint_titles(services)]


def _sampling(services: Services) -> Controls:
    with gr.Row(elem_classes=_shown(services, "hires_fix_show_sampler")):
        samplers = [SAME_SAMPLER, *listing.samplers(services)]
        schedules = [SAME_SCHEDULE, *listing.schedules()]
        return {
            "hr_checkpoint_name": dropdown("hr_checkpoint_name", MODE, hires_checkpoints(services)),
            "hr_sampler_name": dropdown("hr_sampler_name", MODE, samplers),
            "hr_scheduler": dropdown("hr_scheduler", MODE, schedules),
        }


def _prompts(services: Services) -> Controls:
    hint = "the same as in the first pass while this is empty"
    with gr.Column(elem_classes=_shown(services, "hires_fix_show_prompts")):
        return {name: textbox(name, MODE, lines=2, placeholder=f"Prompt, {hint}") for name in PROMPT_FIELDS}


def _shown(services: Services, option: str) -> list[str]:
    # Those that the style sheet hides stay in the form: what was read from a picture counts all the same.
    return [] if services.options.switch(option) else ["unseen"]
