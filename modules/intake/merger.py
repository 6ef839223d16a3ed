"""The files that a job of the Checkpoint Merger names, and what its result is called."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from modules.catalogue import Catalogue, Checkpoint, ModelNotFoundError
from modules.files import temporary_of
from modules.gallery.sanitizing import avoid_device, sanitize
from modules.parameters import RequestError
from modules.parameters.merger_request import (
    ADD_DIFFERENCE,
    NO_INTERPOLATION,
    BakedLora,
    ExtractRequest,
    MergeRequest,
    MergerRequest,
)
from modules.protocol import MergerFiles, SourceCheckpoint

_SUFFIXES: Final = (".safetensors", ".ckpt")
_LETTERS: Final = ("A, the primary model", "B, the secondary model", "C, the tertiary model")
LONGEST_NAME: Final = 200


class MergerChooser:
    """Finds what a request names. New checkpoints go to `new_checkpoints`, new LoRAs to the first of their folders."""

    def __init__(self, catalogue: Catalogue, new_checkpoints: Path) -> None:
        self._catalogue = catalogue
        self._new_checkpoints = new_checkpoints.absolute()

    def checked(self, request: MergerRequest) -> MergerRequest:
        """The request if all that it names is there, and its result's name is free. Raises RequestError."""
        files = self.files_of(request)
        path = Path(files.folder) / f"{files.name}.safetensors"
        if path.exists():
            raise RequestError(f"{path.name} is in {files.folder} already: choose another custom name.")
        return request

    def files_of(self, request: MergerRequest) -> MergerFiles:
        """What the job reads, as it lies on disk now, and where its result goes. Raises RequestError."""
        checkpoints = self._checkpoints(request)
        sources = tuple(_source(one) for one in checkpoints)
        name = _custom_name(request.custom_name) or _name(request, [one.model_name for one in checkpoints])
        folder = str(self._folder(request))
        if isinstance(request, ExtractRequest):
            return MergerFiles(checkpoints=sources, folder=folder, name=name)
        vae = str(self._vae(request.bake_in_vae)) if request.bakes_vae else None
        loras = tuple(str(self._lora(lora)) for lora in request.loras)
        return MergerFiles(checkpoints=sources, folder=folder, name=name, vae=vae, loras=loras)

    def remove_temporary(self, job_id: str) -> None:
        """Remove what a job wrote that did not come to its end."""
        for folder in (self._new_checkpoints, *self._catalogue.folders.loras[:1]):
            temporary_of(folder, job_id).unlink(missing_ok=True)

    def _folder(self, request: MergerRequest) -> Path:
        if isinstance(request, MergeRequest):
            return self._new_checkpoints
        return self._catalogue.folders.loras[0]

    def _checkpoints(self, request: MergerRequest) -> list[Checkpoint]:
        letters = _LETTERS if isinstance(request, MergeRequest) else ("The tuned model", "The original model")
        found = []
        for letter, name in zip(letters, request.models, strict=False):
            if not name:
                raise RequestError(f"{letter} is not chosen: choose a checkpoint.")
            try:
                found.append(self._catalogue.find_checkpoint(name))
            except ModelNotFoundError as error:
                raise RequestError(str(error)) from error
        return found

    def _vae(self, name: str) -> Path:
        try:
            return self._catalogue.find_vae(name).path
        except ModelNotFoundError as error:
            raise RequestError(str(error)) from error

    def _lora(self, lora: BakedLora) -> Path:
        exact = next((one for one in self._catalogue.loras() if one.name == lora.name), None)
        found = exact or self._catalogue.networks("lora").find(lora.name)
        if found is None:
            raise RequestError(f"No LoRA is called {lora.name[:80]!r}: put its file into models/Lora.")
        return found.path


def _source(checkpoint: Checkpoint) -> SourceCheckpoint:
    return SourceCheckpoint(
        path=str(checkpoint.path),
        name=checkpoint.model_name,
        sha256=checkpoint.sha256,
        legacy_hash=checkpoint.legacy_hash,
    )


def _custom_name(text: str) -> str:
    """A name that somebody typed, without the suffix; "" for none. Raises RequestError where no file may have it."""
    name = text.strip()
    if name.lower().endswith(_SUFFIXES):
        name = name.rpartition(".")[0]
    if name and (sanitize(name, length=len(name)) != name or name.startswith(".") or avoid_device(name) != name):
        raise RequestError(
            f"The custom name {text[:60]!r} is no file's name: leave out folders, leading and final dots, "
            'and # < > : " / \\ | ? *.'
        )
    if len(name.encode()) > LONGEST_NAME:
        raise RequestError(f"The custom name is longer than {LONGEST_NAME} bytes: shorten it.")
    return name


def _name(request: MergerRequest, names: list[str]) -> str:
    """What the result is called without a custom name: A1111's formula, in which block weights are "blocks"."""
    if isinstance(request, ExtractRequest):
        formula = f"{names[0]} - {names[1]}"
    else:
        formula = _formula(request, names)
    name = avoid_device(sanitize(formula.replace("/", "_"), length=LONGEST_NAME))
    while len(name.encode()) > LONGEST_NAME:
        name = name[:-1].rstrip(" .")
    return name


def _formula(request: MergeRequest, names: list[str]) -> str:
    share, rest = f"{round(request.multiplier, 2):g}", f"{round(1 - request.multiplier, 2):g}"
    if request.interp_method == NO_INTERPOLATION:
        formula = names[0]
    elif request.interp_method == ADD_DIFFERENCE:
        times = "blocks" if request.weights else share
        formula = f"{names[0]} + {times}({names[1]} - {names[2]})"
    elif request.weights:
        formula = f"{names[0]} + blocks({names[1]})"
    else:
        formula = f"{rest}({names[0]}) + {share}({names[1]})"
    return " + ".join([formula, *(f"{round(lora.weight, 2):g}({Path(lora.name).stem})" for lora in request.loras)])
