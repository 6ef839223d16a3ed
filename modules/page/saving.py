"""The buttons under the gallery: save, zip, open the folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from modules.files import SaveError
from modules.gallery import SavedCopies
from modules.page.job_pictures import shown_pictures
from modules.page.messages import QUICK, SAY, message
from modules.page.open_folder import open_folder
from modules.page.results import Results
from modules.page.viewers import pressed_by

if TYPE_CHECKING:
    from modules.jobs.services import Services


def wire_saving(results: Results, mode: str, services: Services) -> None:
    """Connect the buttons."""
    notice = gr.Textbox("", visible="hidden", elem_id=f"{mode}_saving_notice")
    copies = SavedCopies(services.paths, services.options)

    def save(pressed: gr.Request, job_id: str, selected: float) -> tuple[gr.File, str]:
        images = shown_pictures(services, pressed_by(pressed), job_id)
        if services.options.switch("save_selected_only"):
            images = images[int(selected) : int(selected) + 1]
        else:
            images = [image for image in images if image.kind == "image"]
        if not images:
            return gr.skip(), message("There is no picture to save yet.", "error")
        try:
            return _files(copies.save([image.path for image in images]))
        except SaveError as error:
            return gr.skip(), message(str(error), "error")

    def archive(pressed: gr.Request, job_id: str) -> tuple[gr.File, str]:
        images = shown_pictures(services, pressed_by(pressed), job_id)
        try:
            return _files([copies.zip([image.path for image in images if image.kind == "image"])])
        except SaveError as error:
            return gr.skip(), message(str(error), "error")

    def show_folder(pressed: gr.Request, job_id: str) -> str:
        root = services.gallery.folder(mode)
        images = shown_pictures(services, pressed_by(pressed), job_id)
        subdirectory = services.options.text("open_dir_button_choice") != "Output Root"
        folder = images[0].path.parent if images and subdirectory else root
        return message(open_folder(folder), "error")

    outputs = [results.files, notice]
    results.save.click(save, [results.shown, results.selected], outputs, **QUICK).then(None, notice, None, js=SAY)
    results.save_zip.click(archive, results.shown, outputs, **QUICK).then(None, notice, None, js=SAY)
    results.open_folder.click(show_folder, results.shown, notice, **QUICK).then(None, notice, None, js=SAY)


def _files(paths: Sequence[Path]) -> tuple[gr.File, str]:
    names = ", ".join(path.name for path in paths[:3]) + (", …" if len(paths) > 3 else "")
    return gr.File(value=[str(path) for path in paths], visible=True), message(f"Saved {names} in {paths[0].parent}.")
