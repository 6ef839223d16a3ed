"""The right half of a tab: progress and live preview, gallery, buttons, and the infotext under it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import gradio as gr

from modules.jobs.job import SavedImage, Spent
from modules.page.controls import tool_button
from modules.protocol import MemoryPeak

# Filled by assets/progress.js; with no script running it stays invisible.
LIVE: Final = """
<div class="live" hidden>
  <div class="bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100">
  <div class="fill"></div><span class="text"></span></div>
  <img class="preview" alt="Live preview" hidden>
  <ol class="queue" aria-label="Queue"></ol>
</div>"""
GIGABYTE: Final = 1e9
MESSAGE: Final = '<div class="message" role="alert" hidden></div>'
# Filled by assets/result_links.js and assets/progress.js.
CHANGED: Final = '<p class="changed" hidden></p>'
RECENT: Final = '<div class="recent" aria-label="Recent pictures" hidden></div>'


@dataclass(frozen=True, slots=True)
class Results:
    """The components of the result column that events need. `shown` holds the id of the job on display."""

    gallery: gr.Gallery
    infotext: gr.HTML
    spent: gr.HTML
    shown: gr.Textbox
    show: gr.Button
    selected: gr.Number
    save: gr.Button
    save_zip: gr.Button
    files: gr.File
    open_folder: gr.Button
    sends: Mapping[str, gr.Button]
    upscale: gr.Button
    detail: gr.Button


# Where a result can be sent on to, with the symbol of its button.
TARGETS: Final = {"img2img": "🖼️", "inpaint": "🎨️", "extras": "📐"}


def build_results(mode: str, *, folder_button: bool, height: str = "") -> Results:
    """Lay out the result column inside the tab being built; `height` is the gallery's, with a unit."""
    with gr.Column(elem_id=f"{mode}_results", min_width=320):
        gr.HTML(LIVE, elem_id=f"{mode}_live", padding=False)
        gallery = gr.Gallery(
            label="Output",
            show_label=False,
            elem_id=f"{mode}_gallery",
            columns=4,
            object_fit="contain",
            format="png",
            preview=True,
            height=height or "min(60vh, 560px)",
            interactive=False,
            buttons=["download", "fullscreen"],
        )
        gr.HTML(MESSAGE, elem_id=f"{mode}_message", padding=False)
        with gr.Row(elem_id=f"image_buttons_{mode}", elem_classes=["tools", "image-buttons"]):
            open_folder = tool_button("📂", f"{mode}_open_folder", visible=folder_button)
            # assets/result_links.js finds the picture there.
            tool_button("🗂️", f"{mode}_in_library")
            save = tool_button("💾", f"save_{mode}")
            save_zip = tool_button("🗃️", f"save_zip_{mode}")
            sends = {target: tool_button(symbol, f"{mode}_send_to_{target}") for target, symbol in TARGETS.items()}
            upscale = tool_button("✨", f"{mode}_upscale", visible=mode == "txt2img")
            detail = tool_button("🔎", f"{mode}_detail", visible=mode in ("txt2img", "img2img"))
        files = gr.File(label="Download", visible=False, interactive=False, elem_id=f"download_files_{mode}")
        infotext = gr.HTML("", elem_id=f"html_info_{mode}", elem_classes=["infotext"])
        spent = gr.HTML("", elem_id=f"html_log_{mode}", elem_classes=["spent"], padding=False)
        gr.HTML(CHANGED + RECENT, elem_id=f"{mode}_recent", padding=False)
        shown = gr.Textbox("", visible="hidden", elem_id=f"{mode}_shown")
        selected = gr.Number(0, visible="hidden", elem_id=f"{mode}_selected")
        show = gr.Button("Show", visible="hidden", elem_id=f"{mode}_show")
    return Results(
        gallery, infotext, spent, shown, show, selected, save, save_zip, files, open_folder, sends, upscale, detail
    )


def gallery_value(images: Sequence[SavedImage]) -> list[str]:
    """The gallery shows the saved files themselves, so that a dragged or downloaded picture keeps its parameters."""
    return [str(image.path) for image in images]


def infotext_html(text: str) -> str:
    """An infotext as A1111 shows it under the gallery. User text never becomes markup."""
    if not text:
        return ""
    lines = "<br>".join(html.escape(line) for line in text.split("\n"))
    return f"<p>{lines}</p>"


def spent_html(spent: Spent | None) -> str:
    """What a job took, in A1111's words; empty where nothing is known of it."""
    if spent is None:
        return ""
    minutes, seconds = divmod(spent.seconds, 60)
    time = f"{int(minutes)} min. {seconds:.1f} sec." if minutes else f"{seconds:.1f} sec."
    return f"<p>Time taken: <b>{time}</b></p>{'' if spent.memory is None else _memory_html(spent.memory)}"


def _memory_html(memory: MemoryPeak) -> str:
    share = 100 * memory.used / memory.total if memory.total else 0
    system = f"{memory.used / GIGABYTE:.1f}/{memory.total / GIGABYTE:.1f} GB"
    parts = [f'<span title="Most memory that the engine used">A: <b>{memory.allocated / GIGABYTE:.2f} GB</b></span>']
    if memory.reserved is not None:
        held = f"{memory.reserved / GIGABYTE:.2f} GB"
        parts.append(f'<span title="Most memory that torch held, with what it keeps for later">R: <b>{held}</b></span>')
    parts.append(f'<span title="Most memory that all programs used">Sys: <b>{system}</b> ({share:.0f}%)</span>')
    return f"<p>{', '.join(parts)}</p>"
