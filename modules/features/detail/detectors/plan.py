"""Which detectors there are, by the names that ADetailer's users know. Knows no torch and no OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.model_errors import ModelNotFoundError
from modules.files import is_one_of, walk_folders

NO_DETECTOR: Final = "None"
SUFFIXES: Final = (".pt", ".pth", ".onnx")
# These need no file.
MEDIAPIPE: Final = (
    "mediapipe_face_full", "mediapipe_face_short", "mediapipe_face_mesh", "mediapipe_face_mesh_eyes_only",
)  # fmt: skip
FOLDER: Final = "models/adetailer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One entry of the list of detectors. `path` is None for those that need no file."""

    name: str
    path: Path | None = None


def list_detectors(folders: Sequence[Path]) -> tuple[Detector, ...]:
    """The user's files, faces first, then those that need no file; of two of one name the first folder's."""
    found: dict[str, Detector] = {}
    for file in walk_folders(tuple(folders), SUFFIXES):
        found.setdefault(file.path.name, Detector(name=file.path.name, path=file.path))
    files = sorted(found.values(), key=lambda one: (not one.name.startswith("face"), one.name.lower()))
    return (*files, *(Detector(name=name) for name in MEDIAPIPE))


def named_detector(name: str, detectors: Sequence[Detector]) -> Detector:
    """The detector of a name, in any case, with or without its suffix.

    Raises:
        ModelNotFoundError: there is none; the sentence says where files belong.
    """
    for one in detectors:
        if is_one_of(name.strip(), (one.name, one.name.rpartition(".")[0]), any_case=True):
            return one
    raise ModelNotFoundError(
        f"The detector {name[:80]!r} is not here: put its file into {FOLDER}, or choose one of the list."
    )
