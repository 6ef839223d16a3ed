"""Where the weights of preprocessors lie. Torch-free, so that what is missing can be said before a job is queued."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from modules.catalogue.model_errors import ModelNotFoundError
from modules.features.controlnet.preprocessors.declare import Preprocessor, WeightFile

# Forge's folder below that of models, and A1111's in its extension.
FORGE: Final = "ControlNetPreprocessor"
A1111: Final = Path("extensions", "sd-webui-controlnet", "annotator", "downloads")


def annotator_folders(models: Path, data: Path, chosen: Path | None = None) -> tuple[Path, ...]:
    """Where to look: the folder of the setting `control_net_modules_path`, Forge's, and A1111's below `data`."""
    return (*((chosen,) if chosen is not None else ()), models / FORGE, data / A1111)


def find_weights(preprocessor: Preprocessor, folders: Sequence[Path]) -> tuple[Path, ...]:
    """The files of a preprocessor, in the order of its declaration; none for one that needs none.

    A file may lie in its own folder below one of `folders`, or in that itself.

    Raises:
        ModelNotFoundError: one is missing; the sentence names it and its folder.
    """
    return tuple(_find(preprocessor, file, folders) for file in preprocessor.files)


def _find(preprocessor: Preprocessor, file: WeightFile, folders: Sequence[Path]) -> Path:
    for name in (file.name, *file.others):
        for folder in folders:
            for place in (folder / file.folder / name, folder / name):
                if place.is_file():
                    return place
    raise ModelNotFoundError(
        f"The preprocessor {preprocessor.title} needs {file.name}: put it into models/{FORGE}/{file.folder}, "
        f"or into {(A1111 / file.folder).as_posix()}."
    )
