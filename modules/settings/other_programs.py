"""Models of other programs, used where they lie: A1111, Forge, ComfyUI, InvokeAI, StabilityMatrix, SwarmUI.

All of them have a folder `models` with a folder for each kind below it, and each program has its own names for these.
So one table of names serves all; it is read without regard to case. Nothing is ever written into these folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from modules.files import SaveError, write_text_atomic

FolderKind = Literal[
    "checkpoints",
    "vaes",
    "text_encoders",
    "loras",
    "embeddings",
    "hypernetworks",
    "controls",
    "clip_vision",
    "upscalers",
    "annotators",
    "detectors",
]
_NAMES: Final[Mapping[FolderKind, tuple[str, ...]]] = {
    "checkpoints": (
        *("stable-diffusion", "stablediffusion", "checkpoints", "main"),
        *("diffusion_models", "diffusionmodels", "unet"),
    ),
    "vaes": ("vae",),
    "text_encoders": ("text_encoder", "text_encoders", "textencoders", "clip"),
    "loras": ("lora", "loras", "lycoris"),
    "embeddings": ("embeddings", "embedding", "textualinversion"),
    "hypernetworks": ("hypernetworks", "hypernetwork"),
    "controls": ("controlnet", "t2iadapter", "t2i_adapter", "ipadapter", "ip_adapter"),
    "clip_vision": ("clip_vision", "clipvision"),
    "upscalers": (
        *("esrgan", "realesrgan", "bsrgan", "dat", "scunet", "swinir", "hat"),
        *("upscale_models", "spandrel_image_to_image"),
    ),
    "annotators": ("controlnetpreprocessor",),
    "detectors": ("adetailer", "ultralytics"),
}
_KIND_OF: Final = {name: kind for kind, names in _NAMES.items() for name in names}
# Beside the folder of models.
_BESIDE: Final[tuple[tuple[str, FolderKind], ...]] = (
    ("embeddings", "embeddings"),
    ("extensions/sd-webui-controlnet/models", "controls"),
    ("extensions/sd-webui-controlnet/annotator/downloads", "annotators"),
)
# Where an installation keeps it, from the folder that a person would name.
_BASES: Final = ("", "data", "webui", "comfyui", "comfyui/models", "models")
_INSTALLATIONS: Final = (
    *("stable-diffusion-webui", "stable-diffusion-webui-forge", "stable-diffusion-webui-reForge"),
    *("sd-webui-forge-neo", "sd-webui-forge-classic", "sd.webui/webui", "webui_forge_cu121_torch231/webui"),
    *("ComfyUI", "ComfyUI_windows_portable", "Documents/ComfyUI", "invokeai", "InvokeAI"),
    *("StabilityMatrix", ".local/share/StabilityMatrix", "AppData/Roaming/StabilityMatrix", "SwarmUI", "StableSwarmUI"),
)
_LIST: Final = "other-programs.json"


class OtherProgramError(ValueError):
    """A folder that can't be used. The message is one sentence for the person who named it."""


@dataclass(frozen=True, slots=True)
class OtherProgram:
    """An installation by the folder that was named, and its folders of models by kind, in the order of their names."""

    folder: Path
    models: Mapping[FolderKind, tuple[Path, ...]]


def other_program(folder: Path) -> OtherProgram:
    """The folders of models in the installation at `folder`.

    Raises:
        OtherProgramError: it is no folder, or there are none in it.
    """
    if not folder.is_absolute() or not folder.is_dir():
        raise OtherProgramError(f"{folder} is not a folder of this machine: give its whole path.")
    found: dict[FolderKind, dict[Path, None]] = {}
    for base in _BASES:
        root = _below(folder, base)
        if root is None:
            continue
        models = root if root.name.lower() == "models" else _below(root, "models")
        if models is None:
            continue
        for kind, path in [*_kinds_in(models), *_beside(models.parent)]:
            found.setdefault(kind, {})[path] = None
    if not found:
        raise OtherProgramError(
            f"{folder} holds no models of a program known here: choose the folder in which A1111, Forge, ComfyUI, "
            "InvokeAI, StabilityMatrix or SwarmUI has its folder models."
        )
    return OtherProgram(folder, {kind: tuple(paths) for kind, paths in found.items()})


def programs_nearby(places: Iterable[Path], used: Iterable[Path]) -> list[OtherProgram]:
    """The installations under their usual names in these folders, but for those that are `used`."""
    known = {folder.resolve() for folder in used}
    found: dict[Path, OtherProgram] = {}
    for candidate in (place / name for place in places for name in _INSTALLATIONS):
        try:
            if (real := candidate.resolve()) not in known:
                found.setdefault(real, other_program(candidate))
        except (OtherProgramError, OSError):
            continue
    return list(found.values())


def remembered_programs(data_dir: Path) -> tuple[str, ...]:
    """The folders that somebody named on the page, as they stand in the data folder."""
    try:
        folders = json.loads((data_dir / _LIST).read_text("utf-8"))["folders"]
        return tuple(one for one in folders if isinstance(one, str))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()


def remember_programs(data_dir: Path, folders: Iterable[str]) -> None:
    """Replace that list. Raises OtherProgramError."""
    try:
        text = json.dumps({"folders": list(dict.fromkeys(folders))}, ensure_ascii=False, indent=2)
        write_text_atomic(data_dir / _LIST, f"{text}\n")
    except SaveError as error:
        raise OtherProgramError(str(error)) from error


def _kinds_in(models: Path) -> Iterator[tuple[FolderKind, Path]]:
    for path in _folders(models):
        kind = _KIND_OF.get(path.name.lower())
        if kind is not None:
            yield kind, path
            continue
        # InvokeAI has a folder for each family, and the kinds in it.
        for inner in _folders(path):
            if (kind := _KIND_OF.get(inner.name.lower())) is not None:
                yield kind, inner


def _beside(root: Path) -> Iterator[tuple[FolderKind, Path]]:
    for name, kind in _BESIDE:
        path = _below(root, name)
        if path is not None:
            yield kind, path


def _below(folder: Path, name: str) -> Path | None:
    """The folder of that path below `folder`, in any case; None where there is none."""
    for part in name.split("/") if name else []:
        found = next((one for one in _folders(folder) if one.name.lower() == part.lower()), None)
        if found is None:
            return None
        folder = found
    return folder


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted((one for one in folder.iterdir() if one.is_dir()), key=lambda one: one.name.lower())
    except OSError:
        return []
