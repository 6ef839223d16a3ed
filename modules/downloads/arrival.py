"""A file that has come: what it is by its tensors, the folder for that, and what is kept beside it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modules.catalogue import ModelFileError, ModelFolders, ModelKind, classify_tensors
from modules.catalogue.safetensors_header import MAX_HEADER_BYTES, parse_safetensors_header
from modules.catalogue.tensor_shapes import read_tensor_shapes
from modules.downloads.errors import DownloadError

_PIECE: Final = 2**20
_LENGTH_BYTES: Final = 8
_KINDS: Final[Mapping[ModelKind, str]] = {
    ModelKind.CHECKPOINT: "checkpoint",
    ModelKind.LORA: "lora",
    ModelKind.VAE: "vae",
    ModelKind.EMBEDDING: "embedding",
    ModelKind.CONTROLNET: "controlnet",
    ModelKind.HYPERNETWORK: "hypernetwork",
    ModelKind.UPSCALER: "upscaler",
    ModelKind.IMAGE_ENCODER: "image encoder",
    ModelKind.TEXT_ENCODER: "text encoder",
}
# What a file's tensors don't say: somebody has to.
_NOT_IN_THE_FILE: Final = ("tiny autoencoder", "detector")
KINDS: Final = (*_KINDS.values(), *_NOT_IN_THE_FILE)


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """Where new files of each kind go."""

    folders: ModelFolders
    tiny_autoencoders: Path

    def folders_of(self, kind: str) -> tuple[Path, ...]:
        """The folders of a kind of KINDS; anything else is taken for a checkpoint until its tensors say more."""
        here = self.folders
        return {
            "lora": here.loras,
            "vae": here.vaes,
            "embedding": here.embeddings,
            "controlnet": here.controls,
            "hypernetwork": here.hypernetworks,
            "upscaler": here.upscalers,
            "image encoder": here.clip_vision,
            "text encoder": here.text_encoders,
            "tiny autoencoder": (self.tiny_autoencoders,),
            "detector": here.detectors,
        }.get(kind, here.checkpoints)

    def folder(self, kind: str) -> Path:
        """Where a new file of a kind goes."""
        return self.folders_of(kind)[0]


def look_at_beginning(partial: Path, name: str, wanted: str) -> str | None:
    """The kind of a file that may be incomplete, None while too little of it is there to say.

    Raises:
        DownloadError: it is of no use here, so that the rest need not be fetched.
    """
    with partial.open("rb") as file:
        head = file.read(_LENGTH_BYTES)
        length = int.from_bytes(head, "little") if len(head) == _LENGTH_BYTES else 0
        head += file.read(length if 512 < length <= MAX_HEADER_BYTES else 512)
    return kind_of_beginning(head, name, wanted)


def kind_of_beginning(head: bytes, name: str, wanted: str) -> str | None:
    """As `look_at_beginning`, of the bytes that a file begins with."""
    if head[:512].lstrip()[:1] == b"<":
        raise DownloadError(f"A web page came instead of {name}: open the address in a browser.")
    if not name.lower().endswith(".safetensors") or len(head) < _LENGTH_BYTES:
        return None
    (length,) = struct.unpack("<Q", head[:_LENGTH_BYTES])
    if length > MAX_HEADER_BYTES:
        raise DownloadError(f"{name} is not a safetensors file, though it is called one.")
    if len(head) < _LENGTH_BYTES + length:
        return None
    try:
        header = parse_safetensors_header(head[_LENGTH_BYTES : _LENGTH_BYTES + length], Path(name))
        return _kind(classify_tensors(header.tensors), name, wanted)
    except ModelFileError as error:
        raise DownloadError(str(error)) from error


def look_at_whole(partial: Path, name: str, wanted: str) -> str:
    """The kind of a complete file. Raises DownloadError for what is damaged, unsafe or of no use here."""
    if name.lower().endswith(".onnx"):
        if wanted == "detector":
            return wanted
        raise DownloadError(f"{name} is an ONNX file, which says nothing about its use: fetch it as a detector.")
    try:
        shapes, _ = read_tensor_shapes(partial)
    except (ModelFileError, OSError) as error:
        raise DownloadError(str(error).replace(partial.name, name)) from error
    return _kind(classify_tensors(shapes), name, wanted)


def _kind(found: ModelKind, name: str, wanted: str) -> str:
    if wanted in _NOT_IN_THE_FILE:
        return wanted
    if found is ModelKind.UNKNOWN and wanted in KINDS:
        return wanted
    if found not in _KINDS:
        raise DownloadError(f"{name} is {found.value}; it was not kept.")
    return _KINDS[found]


def sha256_of_file(path: Path, stopped: Callable[[], bool]) -> str | None:
    """The SHA-256 of a file, None when `stopped` in between."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            if stopped():
                return None
            digest.update(piece)
    return digest.hexdigest()


def sidecars(about: Mapping[str, Any]) -> dict[str, bytes]:
    """What is kept beside a model of Civitai, by suffix: its description as Civitai Helper keeps it, and what A1111's
    editor of user metadata would hold."""
    words = [word for word in about.get("trainedWords") or [] if isinstance(word, str)]
    base = str(about.get("baseModel", ""))
    family = "SD1" if base.startswith("SD 1") else "SD2" if base.startswith("SD 2") else ""
    family = family or ("SDXL" if base.startswith(("SDXL", "Pony", "Illustrious", "NoobAI")) else "Unknown")
    # Civitai Helper parts them so where one holds a comma.
    noted = {
        "sd version": family,
        "activation text": (" || " if any("," in word for word in words) else ", ").join(words),
    }
    return {
        ".civitai.info": json.dumps(about, ensure_ascii=False, indent=2).encode(),
        ".json": json.dumps(noted, ensure_ascii=False, indent=2).encode(),
    }
