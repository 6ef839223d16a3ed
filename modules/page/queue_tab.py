"""The Queue tab: its frame; assets/queue.js draws it from /v1/jobs while the tab is open."""

from __future__ import annotations

from typing import Final

import gradio as gr

FRAME: Final = """
<div id="queue_panel">
  <p class="spoken" role="status" aria-live="polite"></p>
  <h2>Running</h2><ul class="running"></ul>
  <h2>Waiting <span class="count"></span></h2><ol class="waiting"></ol>
  <h2>Ended</h2><ul class="ended"></ul>
  <button type="button" class="more" hidden>Show older</button>
</div>"""


def build_queue() -> None:
    """Lay out the tab being built."""
    gr.HTML(FRAME, padding=False)
