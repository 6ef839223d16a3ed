"""The row above the tabs: which checkpoint is used and other settings, how the engine is, and what the demo is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.page import listing
from modules.page.controls import tool_button
from modules.page.demo import EXAMPLE_PROMPTS, demo_notice
from modules.page.option_choices import checkpoint_choices
from modules.page.option_controls import OptionControl, build_option_control

if TYPE_CHECKING:
    from modules.jobs.services import Services

STATUS: Final = (
    '<h1 class="spoken">Stable Diffusion</h1>'
    '<div class="engine" data-state="starting" role="status"><i></i><span>Connecting…</span>'
    '<span class="pace"></span></div>'
)
CHECKPOINT: Final = "sd_model_checkpoint"


@dataclass(frozen=True, slots=True)
class QuickSettings:
    """The components above the tabs that events need. `others` are settings besides the checkpoint."""

    checkpoint: gr.Dropdown
    refresh: gr.Button
    others: Sequence[OptionControl]
    sync: gr.Button
    by_card: gr.Button
    refusal: gr.Textbox
    notice: gr.Textbox
    examples: Sequence[gr.Button]


def build_quicksettings(services: Services, *, folder_button: bool) -> QuickSettings:
    """Lay out the row above the tabs: the settings of `quicksettings_list`, in that order."""
    keys = list(dict.fromkeys(services.options.texts("quicksettings_list")))
    known = [key for key in keys if key in services.options.options]
    others = []
    with gr.Row(elem_id="quicksettings"):
        # What events are wired to is there in any case, if need be unseen.
        if CHECKPOINT not in known:
            checkpoint, refresh = _checkpoint(services, shown=False)
        for key in known:
            if key == CHECKPOINT:
                checkpoint, refresh = _checkpoint(services, shown=True)
            else:
                others.append(build_option_control(services, key))
        with gr.Row(elem_classes=["with-tool", "status-row"], scale=1):
            gr.HTML(STATUS, elem_id="engine_status", padding=False)
            tool_button("🌓", "theme_switch").click(None, js="() => window.webui.switchTheme()")
        sync = gr.Button("Sync", visible="hidden", elem_id="sync_checkpoint")
        # Pressed by the scripts when the card of a checkpoint was clicked.
        by_card = gr.Button("Use checkpoint", visible="hidden", elem_id="checkpoint_by_card")
        refusal = gr.Textbox("", visible="hidden", elem_id="checkpoint_refusal")
        notice = gr.Textbox("", visible="hidden", elem_id="checkpoints_notice")
    with gr.Column(elem_id="demo_notice"):
        fetches = services.get_models is not None
        notice_html = demo_notice(services.paths.checkpoint_dirs[0], folder_button=folder_button, get_models=fetches)
        gr.HTML(notice_html, padding=False)
        with gr.Row(elem_classes=["examples", "no-translate"]):
            examples = [gr.Button(prompt, size="sm", min_width=60, scale=0) for prompt in EXAMPLE_PROMPTS]
    return QuickSettings(checkpoint, refresh, others, sync, by_card, refusal, notice, examples)


def _checkpoint(services: Services, *, shown: bool) -> tuple[gr.Dropdown, gr.Button]:
    with gr.Row(elem_classes=["with-tool"] if shown else ["with-tool", "unseen"], scale=1):
        checkpoint = gr.Dropdown(
            label="Stable Diffusion checkpoint",
            choices=checkpoint_choices(services),
            value=listing.current_title(services),
            elem_id="setting_sd_model_checkpoint",
            interactive=CHECKPOINT not in services.options.frozen,
        )
        refresh = tool_button("🔄", "refresh_sd_model_checkpoint")
        # assets/get_models.js opens the tab.
        tool_button("⬇️", "get_models", visible=services.get_models is not None)
        return checkpoint, refresh
