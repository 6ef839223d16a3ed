"""The Gallery tab: its frame; assets/gallery.js draws it from /v1/pictures when the tab is opened first."""

from __future__ import annotations

from typing import Final

import gradio as gr

FRAME: Final = '<div id="gallery_panel" class="gallery"><p role="status">The gallery is being read…</p></div>'


def build_gallery() -> None:
    """Lay out the tab being built."""
    gr.HTML(FRAME, padding=False)
