"""The checkpoint that is loaded: one at a time, the old one released before the new one is read."""

from __future__ import annotations

import gc
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from modules.catalogue.errors import ModelFileError
from modules.catalogue.hashes import sha256_of
from modules.engine.channel import Emit
from modules.engine.embeddings import EmbeddingShelf
from modules.engine.facts import machine_facts
from modules.engine.failures import sentence_for
from modules.generation.conditioning import PromptEncoder
from modules.generation.previews import fit_colours
from modules.hardware.attention import apply_attention
from modules.hardware.choice import Hardware
from modules.hardware.device import free_memory, module_bytes
from modules.hardware.memory import (
    THRIFTIER,
    MemoryChoice,
    MemoryMode,
    arrange,
    choose_memory,
    dissolve,
)
from modules.prompt import clip_tokenizer
from modules.protocol import CheckpointFailed, CheckpointFile, CheckpointLoaded, CheckpointLoading, MachineFacts, Notice
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model


@dataclass(slots=True)
class LoadedModel:
    """A checkpoint in memory with what is derived from it."""

    file: CheckpointFile
    model: Model
    encoder: PromptEncoder
    sha256: Future[str]
    vae_sha256: Future[str] | None = None
    embeddings: EmbeddingShelf | None = None
    colours: torch.Tensor | None = None

    def preview_colours(self) -> torch.Tensor:
        """The map from latents to colours, fitted at the first preview."""
        if self.colours is None:
            self.colours = fit_colours(self.model.vae, self.model.vae_scaling_factor)
        return self.colours

    def facts(self) -> dict[str, object]:
        """What infotext says about checkpoint and embeddings. Waits for hashes that are still being worked out."""
        facts: dict[str, object] = {"Model hash": self.sha256.result()[:10], "Model": Path(self.file.name).stem}
        if self.file.vae_path and self.vae_sha256:
            facts |= {"VAE hash": self.vae_sha256.result()[:10], "VAE": Path(self.file.vae_path).name}
        if self.embeddings is not None and (found := self.encoder.embeddings_used):
            facts["TI hashes"] = ", ".join(f"{name}: {self.embeddings.hash_of(name)}" for name in found)
        return facts


class ModelKeeper:
    """Owns the one loaded checkpoint of this process."""

    def __init__(
        self,
        hardware: Hardware,
        emit: Emit,
        memory: MemoryMode | None = None,
        embeddings: EmbeddingShelf | None = None,
    ) -> None:
        """`memory` is the mode that the flags ask for; without one it follows from what is free and the file's size."""
        self._embeddings = embeddings
        self._hardware = hardware
        self._memory = memory
        self._emit = emit
        self._tokenizer = clip_tokenizer()
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._loaded: LoadedModel | None = None
        self._mode: MemoryMode = "full"
        self._memory_why = ""

    def facts(self) -> MachineFacts:
        """What this process makes of its machine at this moment."""
        loaded = self._loaded
        if loaded is None:
            return machine_facts(self._hardware)
        model = loaded.model
        weights = sum(map(module_bytes, (model.unet, model.vae, model.text_encoder)))
        return machine_facts(self._hardware, MemoryChoice(self._mode, self._memory_why), weights)

    def load(self, file: CheckpointFile) -> LoadedModel:
        """`file`, loaded. Raises ModelFileError with one sentence; then nothing is loaded."""
        if self._loaded is None or not _same_files(self._loaded.file, file):
            self._loaded = self._load(file)
        if self._embeddings is not None:
            self._loaded.encoder.begin(self._embeddings.fitting(self._loaded.model.context_dim))
        return self._loaded

    def _load(self, file: CheckpointFile) -> LoadedModel:
        self.unload()
        self._emit(CheckpointLoading(title=file.title))
        started = time.monotonic()
        try:
            model = self._read(file)
        except OSError as error:
            cause = f"{Path(file.path).name} could not be read: {error.strerror or error}."
            self._emit(CheckpointFailed(title=file.title, cause=cause))
            raise ModelFileError(cause) from error
        except ModelFileError as error:
            self._emit(CheckpointFailed(title=file.title, cause=str(error)))
            raise
        except (RuntimeError, MemoryError) as error:
            self._emit(CheckpointFailed(title=file.title, cause=sentence_for(error, self._hardware)))
            raise
        loaded = LoadedModel(
            file=file,
            model=model,
            encoder=PromptEncoder(model.text_encoder, self._tokenizer),
            sha256=self._hash(Path(file.path), file.sha256),
            vae_sha256=self._hash(Path(file.vae_path), None) if file.vae_path else None,
            embeddings=self._embeddings,
        )
        if self._mode != "full":
            # Now, while nothing else is on the card: the first preview's thread would push the UNet off it in mid-step.
            loaded.preview_colours()
        width, height = model.resolution or (None, None)
        seconds = time.monotonic() - started
        self._loaded = loaded
        self._emit(CheckpointLoaded(title=file.title, seconds=seconds, width=width, height=height))
        self._emit(self.facts())
        return loaded

    def _read(self, file: CheckpointFile) -> Model:
        hardware = self._hardware
        choice = self._choose_memory(Path(file.path))
        model = load_checkpoint(
            Path(file.path),
            dtype=hardware.unet_dtype,
            vae_dtype=hardware.vae_dtype,
            text_dtype=hardware.text_dtype,
            # What comes and goes is loaded into main memory; a file that stays goes to the device at once.
            device=hardware.device if choice.mode == "full" else "cpu",
            channels_last=hardware.channels_last,
            vae_path=Path(file.vae_path) if file.vae_path else None,
            title=file.title,
            sha256=file.sha256,
        )
        apply_attention(model.unet, hardware.attention)
        arrange(choice.mode, model.unet, model.vae, model.text_encoder, hardware.device)
        self._mode, self._memory_why = choice.mode, choice.why
        self._emit(Notice(text=f"{file.name}: {choice.why}."))
        return model

    def _choose_memory(self, path: Path) -> MemoryChoice:
        # The file's size stands for the model's: pruned half-precision files are as large as what is loaded, others
        # are larger, which errs on the safe side. Of SD1 and SDXL alike, four fifths or less are the UNet.
        size = path.stat().st_size
        device = self._hardware.device
        return choose_memory(self._memory, device, free_memory(device), size, size * 4 // 5)

    def step_down(self) -> MemoryMode | None:
        """Release the checkpoint and load the next one in a thriftier mode. None when this was the thriftiest."""
        mode = THRIFTIER.get(self._mode) if self._hardware.device.type == "cuda" else None
        self.recover()
        if mode is not None:
            self.unload()
            self._memory = mode
        return mode

    def make_room(self) -> bool:
        """Unload the checkpoint for a job that needs none; says whether one was loaded."""
        loaded = self._loaded is not None
        self.unload()
        self.recover()
        return loaded

    def _hash(self, path: Path, known: str | None) -> Future[str]:
        """The file's sha256, known already or worked out beside the first steps: a picture's infotext needs it."""
        if known is None:
            return self._hashing.submit(sha256_of, path)
        future: Future[str] = Future()
        future.set_result(known)
        return future

    def recover(self) -> None:
        """Drop what a failed job may have left on the device, so that the next one finds the room it needs."""
        gc.collect()
        if self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()

    def unload(self) -> None:
        """Give back every byte the checkpoint holds."""
        if self._loaded is not None:
            model = self._loaded.model
            dissolve(model.unet, model.vae, model.text_encoder)
            model.release()
            self._loaded = None
            self._emit(self.facts())


def _same_files(loaded: CheckpointFile, wanted: CheckpointFile) -> bool:
    return (loaded.path, loaded.vae_path) == (wanted.path, wanted.vae_path)
