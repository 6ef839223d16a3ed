"""The checkpoint that is loaded: one at a time, the old one released before the new one is read."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from modules.catalogue import sha256_of
from modules.engine.channel import Emit
from modules.generation.conditioning import PromptEncoder
from modules.generation.previews import fit_colours
from modules.hardware import Hardware
from modules.prompt import Tokenizer
from modules.protocol import CheckpointFailed, CheckpointFile, CheckpointLoaded, CheckpointLoading
from modules.weights import CheckpointError, Model, load_checkpoint


@dataclass(slots=True)
class LoadedModel:
    """A checkpoint in memory with what is derived from it."""

    file: CheckpointFile
    model: Model
    encoder: PromptEncoder
    sha256: Future[str]
    colours: torch.Tensor | None = None

    def preview_colours(self) -> torch.Tensor:
        """The map from latents to colours, fitted at the first preview."""
        if self.colours is None:
            self.colours = fit_colours(self.model.vae, self.model.vae_scaling_factor)
        return self.colours


class ModelKeeper:
    """Owns the one loaded checkpoint of this process."""

    def __init__(self, hardware: Hardware, emit: Emit) -> None:
        self._hardware = hardware
        self._emit = emit
        self._tokenizer = Tokenizer()
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._loaded: LoadedModel | None = None

    def load(self, file: CheckpointFile) -> LoadedModel:
        """`file`, loaded. Raises CheckpointError with one sentence; then nothing is loaded."""
        if self._loaded and (self._loaded.file.path, self._loaded.file.vae_path) == (file.path, file.vae_path):
            return self._loaded
        self.unload()
        self._emit(CheckpointLoading(title=file.title))
        started = time.monotonic()
        try:
            model = self._read(file)
        except CheckpointError as error:
            self._emit(CheckpointFailed(title=file.title, cause=str(error)))
            raise
        self._loaded = LoadedModel(file, model, PromptEncoder(model.text_encoder, self._tokenizer), self._hash(file))
        width, height = model.native_size or (None, None)
        seconds = time.monotonic() - started
        self._emit(CheckpointLoaded(title=file.title, seconds=seconds, width=width, height=height))
        return self._loaded

    def _read(self, file: CheckpointFile) -> Model:
        return load_checkpoint(
            Path(file.path),
            hardware=self._hardware,
            vae_path=Path(file.vae_path) if file.vae_path else None,
        )

    def _hash(self, file: CheckpointFile) -> Future[str]:
        """The file's sha256, known already or worked out beside the first steps: it is needed when a picture is saved."""
        if file.sha256:
            known: Future[str] = Future()
            known.set_result(file.sha256)
            return known
        return self._hashing.submit(sha256_of, Path(file.path))

    def unload(self) -> None:
        """Give back every byte the checkpoint holds."""
        if self._loaded is not None:
            self._loaded.model.release()
            self._loaded = None
