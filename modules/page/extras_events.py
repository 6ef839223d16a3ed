"""What happens on the Extras tab: its pictures become a job, which the queue works on like any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr
from pydantic import ValidationError

from modules.files import SaveError
from modules.gallery.allowed_folders import FolderError
from modules.intake.extras_names import checked_names
from modules.jobs.access import Viewer
from modules.jobs.job import JobError
from modules.page import listing
from modules.page.batch_files import uploaded
from modules.page.controls import events_of
from modules.page.events import wire_results
from modules.page.extras_tab import MODE, PLACES, Extras
from modules.page.messages import QUICK, refusal, unusable
from modules.page.saving import wire_saving
from modules.page.uploads import UploadStore
from modules.page.viewers import pressed_by
from modules.parameters import RequestError
from modules.parameters.extras_request import MOST_PICTURES, ExtrasRequest
from modules.parameters.request import extras_job
from modules.pictures import PictureError

if TYPE_CHECKING:
    from modules.jobs.services import Services

NO_PICTURE: Final = "There is no picture on the Extras tab: drop one there, or send one from a gallery."
NO_FILES: Final = "There are no files under Batch Process: choose some."
_PARTS: Final = ("split", "focal_crop", "auto_crop")


def wire_extras(tab: Extras, services: Services, uploads: UploadStore, page: gr.Blocks) -> None:
    """Connect the tab."""
    wire_results(tab.results, MODE, services)
    wire_saving(tab.results, MODE, services)
    client = gr.Textbox("", visible="hidden", elem_id="extras_client")
    source = gr.Textbox("", visible="hidden", elem_id="extras_source")
    submitted = gr.Textbox("", visible="hidden", elem_id="extras_submitted")
    tab.generate.click(
        submitter(tuple(tab.controls), labels_of(tab), services, uploads),
        [*tab.controls.values(), client, source],
        submitted,
        js="(...values) => window.webui.stampExtras(values)",
        trigger_mode="multiple",
        # The raw values: our error names the control, Gradio's own would not.
        preprocess=False,
        **QUICK,
    ).then(None, submitted, None, js=f"(answer) => window.webui.submitted(answer, '{MODE}')")
    tab.interrupt.click(None, None, None, js="() => window.webui.interrupt()")
    tab.skip.click(None, None, None, js="() => window.webui.skip()")
    _wire_upscalers(tab, services, page)


def _wire_upscalers(tab: Extras, services: Services, page: gr.Blocks) -> None:
    first, second = tab.controls["upscaler_1"], tab.controls["upscaler_2"]

    def listed() -> list[gr.Dropdown]:
        return [gr.Dropdown(choices=listing.upscalers(services)) for _ in range(2)]

    def native(name: str) -> object:
        if not services.options.switch("set_scale_by_when_changing_upscaler"):
            return gr.skip()
        found = next((one for one in services.upscalers() if one.name == name and one.path is not None), None)
        return gr.skip() if found is None else found.scale

    # A file that was put into place since the start is there after a reload.
    page.load(listed, None, [first, second], **QUICK)
    events_of(first).input(native, first, tab.controls["upscaling_resize"], preprocess=False, **QUICK)


def labels_of(tab: Extras) -> dict[str, str]:
    return {name: str(getattr(control, "label", "") or name) for name, control in tab.controls.items()}


def submitter(
    names: Sequence[str], labels: Mapping[str, str], services: Services, uploads: UploadStore
) -> Callable[..., str]:
    """The function behind Generate: the controls' values, the browser's id, and the source as JSON."""

    def submit(pressed: gr.Request, *values: object) -> str:
        *fields, client, slots = values
        named = dict(zip(names, fields, strict=True))
        try:
            extras = extras_request(named, labels).without(services.options.texts("postprocessing_disable_in_extras"))
            extras = checked_names(extras, services.upscalers(), services.catalogue.restorers())
            sender = pressed_by(pressed, client)
            ids = queue(services, uploads, extras, named, json.loads(str(slots or "{}")), sender)
        except (RequestError, PictureError, SaveError, FolderError, JobError) as error:
            return refusal(error)
        return json.dumps({"id": ids[0], "ids": list(ids)})

    return submit


def extras_request(named: Mapping[str, Any], labels: Mapping[str, str]) -> ExtrasRequest:
    """What the controls ask for. Raises RequestError naming the control whose value can't be used."""
    for name, value in named.items():
        if value is None and name not in PLACES:
            raise RequestError(f"{labels[name]} is empty: give it a value.")
    values = {name: value for name, value in named.items() if name not in PLACES and "." not in name}
    for part in _PARTS:
        inside = {name.partition(".")[2]: value for name, value in named.items() if name.startswith(f"{part}.")}
        values[part] = inside if values.get(part) else None
    try:
        return ExtrasRequest.model_validate({**values, "flips": tuple(values.get("flips") or ())})
    except ValidationError as error:
        raise unusable(error, labels) from error


def queue(
    services: Services,
    uploads: UploadStore,
    extras: ExtrasRequest,
    named: Mapping[str, Any],
    slots: Mapping[str, Any],
    sender: Viewer,
) -> list[str]:
    """Queue the pictures of the open sub-tab; the ids of the jobs. Raises what can be wrong, as one sentence."""
    if slots.get("error"):
        raise PictureError(str(slots["error"]))
    match slots.get("tab"):
        case "directory":
            return _queue_directory(services, extras, named, sender)
        case "batch":
            files = dict(_numbered(uploaded(named.get("files") or ())))
            if not files:
                raise RequestError(NO_FILES)
            extras = extras.model_copy(update={"batch": True, "names": tuple(name for name, _ in files.values())})
            return [_submit(services, extras, {key: path for key, (_, path) in files.items()}, sender)]
    if not slots.get("picture"):
        raise PictureError(NO_PICTURE)
    picture = str(slots["picture"])
    extras = extras.model_copy(update={"names": ("The picture",)})
    return [_submit(services, extras, {picture: uploads.path(picture)}, sender)]


def _queue_directory(services: Services, extras: ExtrasRequest, named: Mapping[str, Any], sender: Viewer) -> list[str]:
    folder = services.folders.existing(str(named.get("input_dir") or ""), "Input directory")
    wanted = str(named.get("output_dir") or "").strip()
    output = str(services.folders.target(wanted, "Output directory")) if wanted else ""
    paths = services.folders.pictures(folder)
    if not paths:
        raise RequestError(f"Input directory {folder} holds no pictures: PNG, JPEG, WebP or TIFF files are taken.")
    # The files themselves, read when their turn comes: a folder may hold more than memory does.
    extras = extras.model_copy(update={"batch": True, "output_dir": output, "show": bool(named.get("show", True))})
    ids = []
    for start in range(0, len(paths), MOST_PICTURES):
        part = paths[start : start + MOST_PICTURES]
        update = {"paths": tuple(str(path) for path in part), "names": tuple(path.name for path in part)}
        request = extras_job(extras.model_copy(update=update))
        ids.append(services.jobs.submit(request, client=sender.client, user=sender.user).id)
    return ids


def _numbered(files: Iterator[tuple[str, Path]]) -> Iterator[tuple[str, tuple[str, Path]]]:
    """Two files may have the same name."""
    for number, file in enumerate(files):
        yield f"{number} {file[0]}", file


def _submit(services: Services, extras: ExtrasRequest, files: Mapping[str, Path], sender: Viewer) -> str:
    request = extras_job(extras, tuple(files))
    return services.jobs.submit(request, inputs=_Files(files), client=sender.client, user=sender.user).id


class _Files(Mapping[str, bytes]):
    """The bytes of files, each read when it is looked up."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._files[name].read_bytes()
        except OSError as error:
            raise RequestError(f"{name} can't be read any more: choose it again.") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
