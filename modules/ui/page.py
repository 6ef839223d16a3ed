"""The whole page: quick settings, tabs, and the scripts and styles that come with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import gradio as gr

from modules.ui import listing
from modules.ui.events import QUICK, wire_txt2img
from modules.ui.quicksettings import QuickSettings, build_quicksettings
from modules.ui.txt2img import Txt2Img, build_txt2img

ASSETS: Final = Path(__file__).parent / "assets"
TITLE: Final = "Stable Diffusion"

HEAD: Final = """
<link rel="stylesheet" href="internal/assets/style.css">
<script type="module" src="internal/assets/main.js"></script>
"""


def build_page(services: Any, *, folder_button: bool) -> Any:
    """The Gradio Blocks of the page."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        quick = build_quicksettings(listing.checkpoint_titles(services), listing.current_checkpoint(services))
        with gr.Tabs(elem_id="tabs"), gr.Tab("txt2img", id="txt2img", elem_id="tab_txt2img"):
            tab = build_txt2img(services, folder_button=folder_button)
        wire_txt2img(tab, services, page)
        _wire_quicksettings(quick, tab, services)
    return page


def _wire_quicksettings(quick: QuickSettings, tab: Txt2Img, services: Any) -> None:
    sides = [tab.form.controls["width"], tab.form.controls["height"]]

    def choose(title: str) -> list[Any]:
        services.jobs.load_checkpoint(title)
        size = listing.native_size(services, title)
        return [gr.skip(), gr.skip()] if size is None else [gr.update(value=side) for side in size]

    def refresh() -> Any:
        return gr.update(choices=listing.checkpoint_titles(services), value=listing.current_checkpoint(services))

    quick.checkpoint.input(choose, quick.checkpoint, sides, **QUICK)
    quick.refresh.click(refresh, None, quick.checkpoint, **QUICK)
    for button in quick.examples:
        button.click(None, button, tab.top.prompt, js="(prompt) => prompt")
