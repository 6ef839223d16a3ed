"""The Queue tab: its frame; assets/queue.js draws it from /v1/jobs while the tab is open."""

from __future__ import annotations

from typing import Final

import gradio as gr

FRAME: Final = """
<div id="queue_panel">
  <p class="said" role="status" aria-live="polite"></p>
  <h3>Running</h3><ul class="running"></ul>
  <h3>Waiting <span class="count"></span></h3><ol class="waiting"></ol>
  <h3>Ended</h3><ul class="ended"></ul>
  <button type="button" class="more" hidden>Show older</button>
</div>"""


def build_queue() -> None:
    """Lay out the tab being built."""
    gr.HTML(FRAME, padding=False)
