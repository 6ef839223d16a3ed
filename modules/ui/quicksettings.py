"""The row above the tabs: which checkpoint is used, how the engine is, and what the demo checkpoint is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import gradio as gr

from modules.ui.controls import tool_button
from modules.ui.demo import EXAMPLE_PROMPTS, NOTICE

STATUS: Final = '<div class="engine" data-state="starting" role="status"><i></i><span>Connecting…</span></div>'


@dataclass(frozen=True, slots=True)
class QuickSettings:
    """The components above the tabs that events need."""

    checkpoint: gr.Dropdown
    refresh: gr.Button
    sync: gr.Button
    refusal: gr.Textbox
    examples: Sequence[gr.Button]


def build_quicksettings(titles: Sequence[str], current: str | None) -> QuickSettings:
    """Lay out the row above the tabs."""
    with gr.Row(elem_id="quicksettings"):
        with gr.Row(elem_classes=["with-tool"], scale=1):
            checkpoint = gr.Dropdown(
                label="Stable Diffusion checkpoint",
                choices=list(titles),
                value=current,
                elem_id="setting_sd_model_checkpoint",
            )
            refresh = tool_button("🔄", "refresh_sd_model_checkpoint")
        with gr.Column(scale=1, min_width=240):
            gr.HTML(STATUS, elem_id="engine_status", padding=False)
        sync = gr.Button("Sync", visible="hidden", elem_id="sync_checkpoint")
        refusal = gr.Textbox("", visible="hidden", elem_id="checkpoint_refusal")
    with gr.Column(elem_id="demo_notice"):
        gr.HTML(NOTICE, padding=False)
        with gr.Row(elem_classes=["examples"]):
            examples = [gr.Button(prompt, size="sm", min_width=60, scale=0) for prompt in EXAMPLE_PROMPTS]
    return QuickSettings(checkpoint, refresh, sync, refusal, examples)
