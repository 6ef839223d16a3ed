"""The Get models tab: its frame; assets/get_models.js draws it from /v1/downloads while the tab is open."""

from __future__ import annotations

from typing import Final

import gradio as gr

FRAME: Final = """
<div id="get_models_panel">
  <p class="spoken" role="status" aria-live="polite"></p>
  <form class="look">
    <label for="get_models_address">Address or id of a model on Hugging Face or Civitai</label>
    <span><input id="get_models_address" type="text" autocomplete="off" spellcheck="false" maxlength="2000"
      placeholder="https://civitai.com/models/…   org/name"><button type="submit">Look up</button></span>
  </form>
  <div class="found" hidden></div>
  <h2>Downloads</h2><ul class="list"></ul>
  <h2>Suggestions</h2><ul class="offered"></ul>
  <details class="programs"><summary>Models of other programs</summary>
    <p>Of A1111, Forge, ComfyUI, InvokeAI, StabilityMatrix, SwarmUI: used where they are, nothing is written there.</p>
    <form><label for="other_program">Folder of the program</label>
      <span><input id="other_program" type="text" autocomplete="off" spellcheck="false" maxlength="4096"
        ><button type="submit">Use</button></span></form>
    <ul></ul>
  </details>
  <details class="tokens"><summary>Access tokens</summary>
    <p>For files that a site gives to known people only. A token is kept on this machine and never shown again.</p>
  </details>
</div>"""


def build_get_models() -> None:
    """Lay out the tab being built."""
    gr.HTML(FRAME, padding=False)
