"""Units of ControlNet that take their pictures from folders of this machine: a request for each file.

As in sd-webui-controlnet the k-th file of each unit's folder goes with the k-th run, and the shortest folder decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from modules.features.controlnet.declare import CONTROLNET, FROM_FOLDER, UnitArguments, with_picture
from modules.gallery.allowed_folders import AllowedFolders, FolderError
from modules.parameters import GenerationRequest, RequestError
from modules.pictures import PictureError
from modules.pictures.opening import picture_size


@dataclass(frozen=True, slots=True)
class UnitFolders:
    """The files of each unit that has a folder, by its number, and the folder that pictures go to, if one was named."""

    files: Mapping[int, Sequence[Path]]
    output: Path | None = None

    @property
    def count(self) -> int:
        """How many runs they are enough for."""
        return min(map(len, self.files.values()))

    def name(self, number: int) -> str:
        """The name of the first unit's file in a run."""
        return next(iter(self.files.values()))[number].name

    def request(self, request: GenerationRequest, number: int) -> tuple[GenerationRequest, dict[str, Path]]:
        """The request of a run, and the files of the inputs that it names. Raises RequestError for a bad file."""
        units = list(_units(request.scripts))
        places: dict[str, Path] = {}
        for unit, files in self.files.items():
            digest = _digest(files[number])
            places[digest] = files[number]
            units[unit] = with_picture(units[unit], digest)
        scripts = {**request.scripts, CONTROLNET.title: {"units": [dict(unit) for unit in units]}}
        return request.model_copy(update={"scripts": scripts}), places


def unit_folders(request: GenerationRequest, folders: AllowedFolders) -> UnitFolders | None:
    """The folders of a request's units, None where no enabled unit has one.

    Raises FolderError for a folder that is not there, not allowed or empty.
    """
    files: dict[int, Sequence[Path]] = {}
    output: Path | None = None
    for number, values in enumerate(_units(request.scripts)):
        unit = UnitArguments.read(values)
        if not unit.enabled or unit.input_mode != FROM_FOLDER:
            continue
        what = f"ControlNet unit {number}: {{}} directory"
        folder = folders.existing(unit.batch_images, what.format("input"))
        files[number] = folders.pictures(folder)
        if not files[number]:
            raise FolderError(f"{what.format('input')} {folder} has no pictures in it.")
        if output is None and unit.output_dir.strip():
            output = folders.target(unit.output_dir, what.format("output"))
    return UnitFolders(files, output) if files else None


def _units(scripts: Mapping[str, Mapping[str, JsonValue]]) -> Sequence[Mapping[str, JsonValue]]:
    units = scripts.get(CONTROLNET.title, {}).get("units")
    return [unit for unit in units if isinstance(unit, Mapping)] if isinstance(units, list) else []


def _digest(file: Path) -> str:
    try:
        data = file.read_bytes()
        picture_size(data, "The picture")
    except PictureError as error:
        raise RequestError(str(error)) from error
    except OSError as error:
        raise RequestError(f"{error.strerror or error}.") from error
    return hashlib.sha256(data).hexdigest()
