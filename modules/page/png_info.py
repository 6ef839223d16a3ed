"""The PNG Info tab: everything a picture says about how it was made, and the way from there into the form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.jobs.access import Viewer
from modules.page.messages import QUICK, SAY, message
from modules.page.metadata_html import metadata_html
from modules.page.parts import GenerationTab
from modules.page.paste import form_values
from modules.page.send_to import Destinations, wire_sending
from modules.page.slots import build_slot
from modules.page.uploads import UploadStore
from modules.pictures import PictureError, read_metadata

if TYPE_CHECKING:
    from modules.jobs.services import Services

TARGETS: Final = {"img2img": "Send to img2img", "inpaint": "Send to inpaint", "extras": "Send to extras"}


@dataclass(frozen=True, slots=True)
class PngInfo:
    """The components of the tab that events need. `infotext` keeps what was read, for sending it on.

    `read` is pressed by the page's scripts when the picture has changed; `digest` then names the picture.
    """

    read: gr.Button
    digest: gr.Textbox
    shown: gr.HTML
    infotext: gr.Textbox
    send: gr.Button
    sends: dict[str, gr.Button]


def build_png_info() -> PngInfo:
    """Lay out the tab inside the page being built."""
    with gr.Row(equal_height=False, elem_classes=["halves"]):
        with gr.Column(min_width=320):
            build_slot("pnginfo", "Source")
            read = gr.Button("Read", visible="hidden", elem_id="pnginfo_read")
            digest = gr.Textbox("", visible="hidden", elem_id="pnginfo_digest")
        with gr.Column(min_width=320):
            # Above what is read, which may be long.
            with gr.Row(elem_classes=["pnginfo-sends"]):
                send = gr.Button("Send to txt2img", elem_id="pnginfo_send_to_txt2img", min_width=130)
                sends = {
                    target: gr.Button(label, elem_id=f"pnginfo_send_to_{target}", min_width=130)
                    for target, label in TARGETS.items()
                }
            shown = gr.HTML("", elem_id="pnginfo_html", elem_classes=["infotext"])
            infotext = gr.Textbox("", visible="hidden", elem_id="pnginfo_generation_info")
    return PngInfo(read, digest, shown, infotext, send, sends)


def wire_png_info(
    info: PngInfo, tab: GenerationTab, to: Destinations, services: Services, uploads: UploadStore
) -> None:
    """Connect the tab's components."""
    notice = gr.Textbox("", visible="hidden", elem_id="pnginfo_notice")

    def read(source: str) -> tuple[str, str, str, str]:
        digest = str(json.loads(source).get("picture") or "")
        if not digest:
            return "", "", "", ""
        try:
            metadata = read_metadata(uploads.path(digest))
        except PictureError as error:
            return digest, "", "", message(str(error), "error")
        return digest, metadata_html(metadata), metadata.infotext, ""

    info.read.click(
        read,
        info.digest,
        [info.digest, info.shown, info.infotext, notice],
        js="async () => [await window.webui.source('pnginfo')]",
        **QUICK,
    ).then(None, notice, None, js=SAY)

    def send(text: str) -> list[Any]:
        if not text.strip():
            return ["", gr.skip(), message("This picture says nothing about how it was made.", "error")]
        values, notices = form_values(services, text)
        return [tab.form.arrival(values), gr.Tabs(selected="txt2img"), message("\n".join(notices))]

    sent = info.send.click(send, info.infotext, [tab.form.arriving, to.tabs, notice], **QUICK)
    tab.form.fill(sent).then(None, notice, None, js=SAY)

    def uploaded(_: Viewer, digest: str, text: str) -> tuple[Path, str] | None:
        return (uploads.path(digest), text) if digest else None

    for target, button in info.sends.items():
        wire_sending(button, target, [info.digest, info.infotext], uploaded, to, services, uploads)
