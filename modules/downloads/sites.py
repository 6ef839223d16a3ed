"""What the model sites say about a place: its files with sizes, hashes and addresses.

Hugging Face: huggingface.co/docs/hub/api (`/api/models/{repository}/tree/{revision}`). Civitai:
developer.civitai.com/docs/api (`/api/v1/model-versions/{id}`, `/api/v1/models/{id}`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from modules.downloads.addresses import ModelPlace, OnCivitai, OnHuggingFace
from modules.downloads.errors import DownloadError
from modules.downloads.web import Web

SUFFIXES: Final = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# Which of our kinds Civitai's types are; for the others the file itself says it.
_CIVITAI_TYPES: Final[Mapping[str, str]] = {
    "Checkpoint": "checkpoint",
    "LORA": "lora",
    "LoCon": "lora",
    "DoRA": "lora",
    "TextualInversion": "embedding",
    "Hypernetwork": "hypernetwork",
    "VAE": "vae",
    "Controlnet": "controlnet",
    "Upscaler": "upscaler",
}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be fetched. `size` in bytes and `sha256` are what the site says, 0 and "" where it doesn't.

    `kind` is what the site takes it for; the file's own tensors decide. `about` is Civitai's description of the
    version, kept beside the file, and `preview` the address of its picture.
    """

    name: str
    address: str
    size: int = 0
    sha256: str = ""
    kind: str = ""
    about: Mapping[str, Any] | None = None
    preview: str = ""


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What an address names: a title, the page to read about it, and its files."""

    title: str
    page: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True, slots=True)
class Sites:
    """The two sites; other addresses serve mirrors and tests."""

    web: Web
    hugging_face: str = "https://huggingface.co"
    civitai: str = "https://civitai.com"

    def look_up(self, place: ModelPlace) -> RemoteModel:
        """The files at a place. Raises DownloadError, also where there is none that a model could be."""
        found = self._hugging_face(place) if isinstance(place, OnHuggingFace) else self._civitai(place)
        if not found.files:
            raise DownloadError(f"{found.title} has no model file: wanted is one that ends in {', '.join(SUFFIXES)}.")
        return found

    def _hugging_face(self, place: OnHuggingFace) -> RemoteModel:
        repository, revision = quote(place.repository), quote(place.revision, safe="")
        folder = place.path if not place.path.lower().endswith(SUFFIXES) else str(PurePosixPath(place.path).parent)
        below = "" if folder in {"", "."} else f"/{quote(folder)}"
        listed = self.web.json(f"{self.hugging_face}/api/models/{repository}/tree/{revision}{below}?recursive=true")
        files = [
            RemoteFile(
                name=PurePosixPath(path).name,
                address=f"{self.hugging_face}/{repository}/resolve/{revision}/{quote(path)}",
                size=_whole(lfs.get("size", entry.get("size"))),
                sha256=_hash(lfs.get("oid")),
            )
            for entry in _records(listed)
            if (path := str(entry.get("path", ""))).lower().endswith(SUFFIXES)
            and (path == place.path or folder == place.path)
            for lfs in [_record(entry.get("lfs"))]
        ]
        if place.path and folder != place.path and not files:
            raise DownloadError(f"{place.repository} has no file {place.path}.")
        return RemoteModel(place.repository, f"https://huggingface.co/{place.repository}", tuple(files))

    def _civitai(self, place: OnCivitai) -> RemoteModel:
        if place.version:
            version = _record(self.web.json(f"{self.civitai}/api/v1/model-versions/{place.version}"))
            model = _record(version.get("model"))
        else:
            model = _record(self.web.json(f"{self.civitai}/api/v1/models/{place.model}"))
            # The newest stands first, as on the page.
            version = next(iter(_records(model.get("modelVersions"))), {})
            version = {**version, "modelId": place.model, "model": {key: model.get(key) for key in ("name", "type")}}
        title = " ".join(str(part) for part in (model.get("name"), version.get("name")) if part) or "This model"
        kind, preview = str(model.get("type", "")), _preview(version)
        files = tuple(
            RemoteFile(
                name=str(entry.get("name", "")),
                address=str(entry.get("downloadUrl", "")),
                size=0,
                sha256=_hash(_record(entry.get("hashes")).get("SHA256")),
                kind="vae" if entry.get("type") == "VAE" else _CIVITAI_TYPES.get(kind, ""),
                about=version,
                preview=preview,
            )
            for entry in sorted(_records(version.get("files")), key=lambda one: one.get("primary") is not True)
            if str(entry.get("name", "")).lower().endswith(SUFFIXES) and entry.get("downloadUrl")
        )
        number = version.get("modelId") or place.model
        return RemoteModel(title, f"https://civitai.com/models/{number}?modelVersionId={version.get('id', '')}", files)


def _preview(version: Mapping[str, Any]) -> str:
    """The first still picture that may be shown to anybody (nsfwLevel 1)."""
    pictures: Iterable[Mapping[str, Any]] = _records(version.get("images"))
    shown = (one for one in pictures if one.get("type", "image") == "image" and one.get("nsfwLevel", 1) in {1, None})
    return str(next(shown, {}).get("url", ""))


def _records(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _record(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**60 else 0


def _hash(value: object) -> str:
    text = str(value or "").lower().removeprefix("sha256:")
    return text if _SHA256.fullmatch(text) else ""
