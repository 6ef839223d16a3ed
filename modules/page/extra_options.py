"""Settings shown in txt2img and img2img (`extra_options_txt2img`, `extra_options_img2img`): for this request only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from modules.page.controls import Controls
from modules.page.option_controls import build_option_control
from modules.page.overrides import EXTRA_OPTION

if TYPE_CHECKING:
    from modules.jobs.services import Services


def build_extra_options(services: Services, mode: str) -> Controls:
    """Their controls, inside the tab being built. As in A1111 they override the setting and leave it as it is."""
    chosen = services.options.texts(f"extra_options_{mode}")
    keys = [key for key in dict.fromkeys(chosen) if key in services.options.options]
    if not keys:
        return {}
    columns = services.options.whole("extra_options_cols")
    folded = services.options.switch("extra_options_accordion")
    frame = gr.Accordion("Options", open=False) if folded else gr.Column()
    controls: Controls = {}
    with gr.Column(elem_id=f"extra_options_{mode}", elem_classes=["extra-options"]), frame:
        for first in range(0, len(keys), columns):
            with gr.Row():
                for key in keys[first : first + columns]:
                    controls[f"{EXTRA_OPTION}{key}"] = build_option_control(services, key, f"{mode}_option").component
    return controls
