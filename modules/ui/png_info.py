"""The PNG Info tab: everything a picture says about how it was made, and the way from there into the form."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from modules.gallery import ImageMetadata, PictureError, read_metadata
from modules.ui.messages import QUICK, SAY, told
from modules.ui.paste import form_values
from modules.ui.results import infotext_html

if TYPE_CHECKING:
    from modules.jobs.services import Services
    from modules.ui.txt2img import Txt2Img


@dataclass(frozen=True, slots=True)
class PngInfo:
    """The components of the tab that events need. `infotext` keeps what was read, for sending it on."""

    picture: gr.Image
    shown: gr.HTML
    infotext: gr.Textbox
    send: gr.Button


def build_png_info() -> PngInfo:
    """Lay out the tab inside the page being built."""
    with gr.Row(equal_height=False, elem_classes=["halves"]):
        with gr.Column(min_width=320):
            picture = gr.Image(
                label="Source",
                type="filepath",
                sources=["upload", "clipboard"],
                elem_id="pnginfo_image",
                height="min(60vh, 560px)",
                buttons=[],
            )
        with gr.Column(min_width=320):
            shown = gr.HTML("", elem_id="pnginfo_html", elem_classes=["infotext"])
            infotext = gr.Textbox("", visible="hidden", elem_id="pnginfo_generation_info")
            send = gr.Button("Send to txt2img", elem_id="pnginfo_send_to_txt2img")
    return PngInfo(picture, shown, infotext, send)


def wire_png_info(info: PngInfo, tab: Txt2Img, tabs: gr.Tabs, services: Services) -> None:
    """Connect the tab's components."""
    notice = gr.Textbox("", visible="hidden", elem_id="pnginfo_notice")

    def read(uploaded: Mapping[str, Any] | None) -> tuple[str, str, str]:
        if not uploaded:
            return "", "", ""
        try:
            metadata = read_metadata(Path(uploaded["path"]))
        except PictureError as error:
            return "", "", told(str(error), "error")
        return metadata_html(metadata), metadata.infotext, ""

    # The file as it was uploaded: Gradio would hand over a converted copy without its texts.
    info.picture.change(read, info.picture, [info.shown, info.infotext, notice], preprocess=False, **QUICK).then(
        None, notice, None, js=SAY
    )

    def send(text: str) -> list[Any]:
        if not text.strip():
            return [*tab.form.updates({}), gr.skip(), told("This picture says nothing about how it was made.", "error")]
        values, notices = form_values(services, text)
        return [*tab.form.updates(values), gr.Tabs(selected="txt2img"), told("\n".join(notices))]

    info.send.click(send, info.infotext, [*tab.form.components, tabs, notice], **QUICK).then(None, notice, None, js=SAY)


def metadata_html(metadata: ImageMetadata) -> str:
    """The texts of a picture. None of them becomes markup."""
    size = f"<p>{html.escape(metadata.format)}, {metadata.width}×{metadata.height}</p>"
    if not metadata.infotext and not metadata.items:
        return f"{size}<p>Nothing is written in this picture.</p>"
    parameters = f"<h4>parameters</h4>{infotext_html(metadata.infotext)}" if metadata.infotext else ""
    others = "".join(f"<h4>{html.escape(key)}</h4>{infotext_html(text)}" for key, text in metadata.items.items())
    return f"{size}{parameters}{others}"
