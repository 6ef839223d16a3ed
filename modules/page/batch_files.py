"""A batch as jobs: one for each file, and a sentence for each file that can be none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from gradio.utils import get_upload_folder

from modules.catalogue.lookup import LocalModels
from modules.gallery.allowed_folders import FolderError
from modules.intake.unit_folders import UnitFolders, unit_folders
from modules.jobs.access import Viewer
from modules.jobs.batches import BatchJob, about_skipped, jobs_of_folders, submit_batch_jobs
from modules.jobs.job import Job
from modules.page.from_picture import with_source
from modules.page.init_pictures import CanvasPicture, masked_source
from modules.page.units import with_unit_pictures
from modules.page.uploads import UploadStore
from modules.parameters import BatchFile, GenerationRequest, RequestError, parse_infotext, request_from_infotext
from modules.pictures import PictureError, read_metadata
from modules.pictures.opening import picture_size

if TYPE_CHECKING:
    from modules.jobs.services import Services

NO_FILES: Final = "There are no files on the Batch tab: choose some, or name an input directory with pictures."
# A batch goes by the checkpoint's hash alone (another one of its name would make another picture), and its other models
# are the page's.
_OTHER_MODELS: Final = frozenset({"Model", "VAE", "VAE hash", "Lora hashes", "TI hashes", "Hashes"})
_PROMPTS: Final = ("prompt", "negative_prompt")
# What each property of the sub-tab changes. A sampler comes with its schedule: one alone would be another sampler.
_FIELDS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "Prompt": ("prompt",),
    "Negative prompt": ("negative_prompt",),
    "Seed": ("seed",),
    "Steps": ("steps",),
    "CFG scale": ("cfg_scale",),
    "Sampler": ("sampler_name", "scheduler"),
}
_NOTHING_LEFT: Final = "there is no picture left for it in the folder of a ControlNet unit."


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """The batch that the sub-tab describes. Folders are there and allowed; `output` is made with the first picture."""

    files: Sequence[tuple[str, Path]]
    output: Path | None = None
    masks: Mapping[str, Path] | None = None
    png_info: bool = False
    png_info_dir: Path | None = None
    properties: Sequence[str] = ()

    def mask_of(self, name: str) -> Path | None:
        """The mask of a file: that of its stem, or the only one there is. Raises RequestError when it has none."""
        if self.masks is None:
            return None
        if len(self.masks) == 1:
            return next(iter(self.masks.values()))
        if (stem := PurePath(name).stem) not in self.masks:
            raise RequestError("there is no mask of its name in the mask directory.")
        return self.masks[stem]


def read_batch_request(services: Services, values: Sequence[Any], *, upload: bool) -> BatchRequest:
    """The batch that the values of the sub-tab's controls describe. Raises FolderError with one sentence."""
    files, input_dir, output_dir, mask_dir, use_png_info, png_info_dir, properties = values
    info: dict[str, Any] = {"png_info": bool(use_png_info), "properties": tuple(properties or ())}
    folders = services.folders
    if use_png_info and str(png_info_dir or "").strip():
        info["png_info_dir"] = folders.existing(str(png_info_dir), "PNG info directory")
    if upload:
        return BatchRequest(list(uploaded(files or ())), **info)
    found = folders.pictures(folders.existing(str(input_dir or ""), "Input directory"))
    output = folders.target(str(output_dir), "Output directory") if str(output_dir or "").strip() else None
    masks = None
    if str(mask_dir or "").strip():
        folder = folders.existing(str(mask_dir), "Inpaint batch mask directory")
        masks = {path.stem: path for path in folders.pictures(folder)}
        if not masks:
            raise FolderError(f"Inpaint batch mask directory {folder} has no pictures in it.")
    return BatchRequest([(path.name, path) for path in found], output, masks, **info)


def uploaded(files: Sequence[Any]) -> Iterator[tuple[str, Path]]:
    """Name and place of uploaded files. Only what Gradio itself has put into its folder counts as uploaded."""
    folder = Path(get_upload_folder()).resolve()
    for file in files:
        path = Path(str(file["path"]))
        if path.resolve().is_relative_to(folder):
            yield PurePath(str(file.get("orig_name") or path.name)).name, path


def submit_batch(
    services: Services, named: Mapping[str, Any], wanted: BatchRequest, uploads: UploadStore, sender: Viewer
) -> str:
    """Queue a job for each file that can be used: the answer for the page, as JSON.

    Every file is looked at before the first job is queued, so that what is wrong with all of them costs nothing.

    Raises RequestError, JobError, and FolderError for the folder of a ControlNet unit.
    """
    if not wanted.files:
        raise RequestError(NO_FILES)
    usable, skipped = _usable(services, named, wanted, uploads)
    return _submitted(services, usable, sender, skipped)


def submit_form(
    services: Services,
    request: GenerationRequest,
    inputs: Mapping[str, bytes],
    uploads: UploadStore,
    sender: Viewer,
    about: Callable[[Job], str],
) -> str:
    """Queue a form's request, with the pictures that its units name: the answer for the page, as JSON.

    One job, whose notice `about` gives, or where units of ControlNet have folders one for each of their files. Raises
    RequestError, JobError and FolderError.
    """
    inputs = with_unit_pictures(request, inputs, uploads)
    folders = unit_folders(request, services.folders)
    if folders is not None:
        jobs, skipped = jobs_of_folders(request, inputs, folders)
        return _submitted(services, jobs, sender, skipped)
    job = services.jobs.submit(request, inputs=inputs, client=sender.client, user=sender.user)
    return json.dumps({"id": job.id, "notice": about(job)})


def _submitted(services: Services, jobs: Sequence[BatchJob], sender: Viewer, skipped: Sequence[str]) -> str:
    notices = about_skipped(skipped)
    first, *_ = submit_batch_jobs(services, jobs, sender, notices=notices)
    return json.dumps({"id": first.task_id, "notice": "".join(notices)})


def _usable(
    services: Services, named: Mapping[str, Any], wanted: BatchRequest, uploads: UploadStore
) -> tuple[list[BatchJob], list[str]]:
    usable: list[BatchJob] = []
    skipped = []
    units: UnitFolders | None = None
    shared: dict[str, bytes] | None = None
    for number, (name, path) in enumerate(wanted.files):
        try:
            mask = wanted.mask_of(name)
            request, inputs = _request(services, named, wanted, name, path, mask)
            if shared is None:
                # The units are those of the form, alike for all files.
                shared = with_unit_pictures(request, {}, uploads)
                units = unit_folders(request, services.folders)
            places = dict(zip(inputs, [path] if mask is None else [path, mask], strict=False))
            if units is not None:
                if number >= units.count:
                    raise RequestError(_NOTHING_LEFT)
                request, own = units.request(request, number)
                places |= own
        except (RequestError, PictureError) as error:
            skipped.append(f"{name}: {error}")
        except OSError as error:
            skipped.append(f"{name}: {error.strerror or error}.")
        else:
            batch = BatchFile(
                name=name, number=len(usable), folder=None if wanted.output is None else str(wanted.output)
            )
            usable.append(BatchJob(request.model_copy(update={"batch": batch}), places, shared))
    return usable, skipped


def _request(
    services: Services, named: Mapping[str, Any], wanted: BatchRequest, name: str, path: Path, mask: Path | None
) -> tuple[GenerationRequest, dict[str, bytes]]:
    data = path.read_bytes()
    size = picture_size(data, "The picture")
    inverted = bool(named.get("inpainting_mask_invert"))
    source = (
        CanvasPicture(data, size) if mask is None else masked_source(data, size, mask.read_bytes(), inverted=inverted)
    )
    values = dict(named)
    overrides: dict[str, Any] = {}
    if wanted.png_info:
        values, overrides = with_png_info(services, values, _infotext(wanted, name, data), wanted.properties)
    request, inputs = with_source(values, source, masked=mask is not None)
    return request.model_copy(update={"override_settings": request.override_settings | overrides}), inputs


def _infotext(wanted: BatchRequest, name: str, data: bytes) -> str:
    """What a file says of how it was made, or what the file of its name in the PNG info directory says."""
    if wanted.png_info_dir is None:
        return read_metadata(data).infotext
    path = wanted.png_info_dir / name
    return read_metadata(path).infotext if path.is_file() else ""


def with_png_info(
    services: Services, values: Mapping[str, Any], infotext: str, properties: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The form's values with what is taken from an infotext, and the settings that it decides. Raises RequestError."""
    parsed = parse_infotext(infotext) if infotext.strip() else {}
    wanted = [key for key in properties if parsed.get(key)]
    read = request_from_infotext(
        {key: value for key, value in parsed.items() if key not in _OTHER_MODELS},
        {"disable_weights_auto_swap": False},
        models=LocalModels(services.catalogue),
    )
    changed = dict(values)
    overrides: dict[str, Any] = {}
    for key, name in [(one, name) for one in wanted for name in _FIELDS_OF.get(one, ())]:
        if name not in read.fields:
            raise RequestError(f"its {key} is {str(parsed[key])[:40]!r}, which can't be read.")
        value = read.fields[name]
        changed[name] = f"{changed.get(name) or ''} {value}".strip() if name in _PROMPTS else value
    if "Model hash" in wanted:
        if "sd_model_checkpoint" not in read.override_settings:
            raise RequestError(f"there is no checkpoint with the hash {str(parsed['Model hash'])[:20]} here.")
        overrides["sd_model_checkpoint"] = read.override_settings["sd_model_checkpoint"]
    return changed, overrides
