"""Upscalers and face restorers as lists name them: A1111's names for the files it knows, else the file's own.

Nothing is read here but the folders: what a file really holds, and by how much it enlarges, is seen when it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelNotFoundError
from modules.files import FoundFile, is_one_of, walk_folders

UPSCALER_SUFFIXES: Final = (".safetensors", ".pth", ".pt")
NO_UPSCALER: Final = "None"
# Those that need no file, first in every list.
PLAIN_UPSCALERS: Final = (NO_UPSCALER, "Lanczos", "Nearest")
ASSUMED_SCALE: Final = 4

REAL_ESRGAN: Final = {
    "RealESRGAN_x4plus": "R-ESRGAN 4x+",
    "RealESRGAN_x4plus_anime_6B": "R-ESRGAN 4x+ Anime6B",
    "realesr-general-x4v3": "R-ESRGAN General 4xV3",
    "realesr-general-wdn-x4v3": "R-ESRGAN General WDN 4xV3",
    "realesr-animevideov3": "R-ESRGAN AnimeVideo",
    "RealESRGAN_x2plus": "R-ESRGAN 2x+",
}
DAT: Final = {"DAT_x2": "DAT x2", "DAT_x3": "DAT x3", "DAT_x4": "DAT x4"}
_KNOWN: Final = {
    **REAL_ESRGAN,
    **DAT,
    "ESRGAN": "ESRGAN_4x",
    "ScuNET": "ScuNET GAN",
    "scunet_color_real_gan": "ScuNET GAN",
    "scunet_color_real_psnr": "ScuNET PSNR",
    "SwinIR_4x": "SwinIR 4x",
    "003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN": "SwinIR 4x",
}
# "4x_foo", "foo-x2", "RealESRGAN_x4plus" and "x4v3" say a scale; "1024x1024" and "2x4" do not.
_SCALE: Final = re.compile(r"(?<![0-9a-zA-Z])([1-8])x(?![0-9])|(?<![0-9])x([1-8])(?![0-9])", re.IGNORECASE)

RESTORERS: Final = ("CodeFormer", "GFPGAN")
# The face detector that A1111 puts beside its restorers.
DETECTOR: Final = "detection_Resnet50_Final"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upscaler:
    """One entry of a list. `path` is None for those that need no file; `scale` is read from the name, else assumed."""

    name: str
    path: Path | None = None
    scale: int = ASSUMED_SCALE

    @property
    def model_name(self) -> str | None:
        """The API's `model_name`: the file's own name without suffix."""
        return None if self.path is None else self.path.stem


def list_upscalers(
    folders: Sequence[Path],
    *,
    real_esrgan: Collection[str] | None = None,
    dat: Collection[str] | None = None,
    in_hidden: bool = True,
) -> tuple[Upscaler, ...]:
    """The plain ones, then every file. `real_esrgan` and `dat` are the known names that are wanted, None meaning all.

    Two files of one name in two folders are both listed, the second with its folder's name.
    """
    found = {name: Upscaler(name=name) for name in PLAIN_UPSCALERS}
    hidden = {name for known, wanted in ((REAL_ESRGAN, real_esrgan), (DAT, dat)) for name in _unwanted(known, wanted)}
    for folder in folders:
        for file in walk_folders((folder,), UPSCALER_SUFFIXES, hidden=in_hidden):
            name = _name(file)
            if name not in hidden:
                free = name if name not in found else f"{name} ({folder.name})"
                found.setdefault(free, Upscaler(name=free, path=file.path, scale=scale_of(file.path.stem)))
    return tuple(found.values())


def find_upscaler(wanted: str, upscalers: Iterable[Upscaler]) -> Upscaler:
    """The upscaler that `wanted` means: its name, or its file's name with or without suffix, in any case.

    Raises:
        ModelNotFoundError: there is none; the sentence says where files belong.
    """
    listed = tuple(upscalers)
    for one in listed:
        if wanted == one.name:
            return one
    for one in listed:
        names = {one.name} | ({one.path.name, one.path.stem} if one.path else set())
        if is_one_of(wanted, names, any_case=True):
            return one
    raise ModelNotFoundError(
        f"The upscaler {wanted[:80]!r} is not here: put its file into models/ESRGAN, or choose one of the list."
    )


def scale_of(stem: str) -> int:
    """The scale that a file's name says, else 4, as A1111 assumes."""
    said = _SCALE.search(stem)
    return int(said[1] or said[2]) if said else ASSUMED_SCALE


def list_restorers(folders: ModelFolders) -> dict[str, Path]:
    """The face restorers whose file is there; of several files of one kind the last by name, the newest version."""
    found: dict[str, Path] = {}
    for name, folder in (("CodeFormer", folders.codeformer), ("GFPGAN", folders.gfpgan)):
        files = _files(folder)
        fitting = [file.path for file in files if name.lower() in file.path.stem.lower()]
        if fitting:
            found[name] = fitting[-1]
    return found


def find_detector(folders: ModelFolders) -> Path | None:
    """The face detector's file, beside either restorer."""
    for folder in (folders.gfpgan, folders.codeformer):
        for file in _files(folder):
            if file.path.stem.lower() == DETECTOR.lower():
                return file.path
    return None


def _files(folder: Path | None) -> list[FoundFile]:
    return [] if folder is None else walk_folders((folder,), UPSCALER_SUFFIXES)


def _name(file: FoundFile) -> str:
    return _KNOWN.get(file.path.stem, file.path.stem)


def _unwanted(known: dict[str, str], wanted: Collection[str] | None) -> set[str]:
    return set() if wanted is None else set(known.values()) - set(wanted)
