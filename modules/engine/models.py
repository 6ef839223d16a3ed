"""The checkpoint that is loaded: one at a time, the old one released before the new one is read."""

from __future__ import annotations

import gc
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from modules.catalogue.errors import ModelFileError
from modules.catalogue.hashes import sha256_of
from modules.engine.channel import Emit
from modules.engine.embeddings import EmbeddingShelf
from modules.engine.facts import machine_facts
from modules.engine.failures import sentence_for
from modules.engine.placement import Placement, asked_memory
from modules.engine.tiny_autoencoders import TinyShelf
from modules.generation.conditioning import PromptEncoder
from modules.generation.previews import fit_colours
from modules.hardware.attention import apply_attention, choose_attention
from modules.hardware.budget import MemoryMode, MemoryPlan, RequestSize, gigabytes
from modules.hardware.choice import Hardware
from modules.hardware.compiling import slow_down, speed_up
from modules.hardware.storage import keep_in_8_bits
from modules.prompt import clip_tokenizer
from modules.protocol import CheckpointFailed, CheckpointFile, CheckpointLoaded, CheckpointLoading, MachineFacts, Notice
from modules.weights.checkpoint import load_checkpoint
from modules.weights.family import Family
from modules.weights.model import Model
from modules.weights.tiny_autoencoder import Half

_XL: Final = (Family.SDXL, Family.SDXL_REFINER)


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
    sped_up_in: MemoryMode | None = None
    in_8_bits: bool = False

    def preview_colours(self) -> torch.Tensor:
        """The map from latents to colours, fitted at the first preview."""
        if self.colours is None:
            self.colours = fit_colours(self.model.vae, self.model.vae_scaling_factor)
        return self.colours

    def facts(self) -> dict[str, object]:
        """What infotext says about checkpoint and embeddings. Waits for hashes that are still being worked out."""
        facts: dict[str, object] = {} if self.in_8_bits else {"FP8 weight": None, "Cache FP16 weight for LoRA": None}
        facts |= {"Model hash": self.sha256.result()[:10], "Model": Path(self.file.name).stem}
        if self.file.vae_path and self.vae_sha256:
            facts |= {"VAE hash": self.vae_sha256.result()[:10], "VAE": Path(self.file.vae_path).name}
        if self.embeddings is not None and (found := self.encoder.embeddings_used):
            facts["TI hashes"] = ", ".join(f"{_bare(name)}: {self.embeddings.hash_of(name)}" for name in found)
        return facts


def _bare(name: str) -> str:
    """A name as it stands among hashes, where commas and colons mean something."""
    return name.replace(":", "").replace(",", "")


class ModelKeeper:
    """Owns the one loaded checkpoint of this process."""

    def __init__(
        self,
        hardware: Hardware,
        emit: Emit,
        memory: MemoryMode | None = None,
        embeddings: EmbeddingShelf | None = None,
        memory_sdxl: MemoryMode | None = None,
        tiny: TinyShelf | None = None,
    ) -> None:
        """`memory` is the mode that the flags ask for, `memory_sdxl` for SDXL only; without one it follows from what is
        free and what is asked.
        """
        self._embeddings = embeddings
        self._hardware = hardware
        self._memory = memory
        self._memory_sdxl = memory_sdxl
        self._tiny = tiny
        self.attention = hardware.attention
        self.fast_mode = ""
        self._emit = emit
        self._tokenizer = clip_tokenizer()
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._loaded: LoadedModel | None = None
        self.placement = Placement(hardware)

    def facts(self) -> MachineFacts:
        """What this process makes of its machine at this moment."""
        loaded = self._loaded
        return machine_facts(
            self._hardware,
            self.attention,
            self.placement.plan,
            self.placement.weights,
            in_8_bits=loaded is not None and loaded.in_8_bits,
            fast_mode=self.fast_mode,
        )

    def tiny(self, half: Half, family: Family) -> nn.Module | str:
        """The tiny autoencoder's half for that family, or why there is none."""
        return "TAESD is not at hand" if self._tiny is None else self._tiny.half(half, family)

    def load(self, file: CheckpointFile) -> LoadedModel:
        """`file`, loaded. Raises ModelFileError with one sentence; then nothing is loaded."""
        if self._loaded is None or not _same_files(self._loaded.file, file):
            self._loaded = self._load(file)
        elif self._loaded.file.options != file.options:
            self._set_attention(self._loaded.model, file)
        self._loaded.file = file
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
            in_8_bits=self._stored_in_8_bits(file, model.family),
        )
        if self.placement.take(model, self._asked(file, model.family), self.attention).mode != "full":
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
        model = load_checkpoint(
            Path(file.path),
            dtype=hardware.unet_dtype,
            vae_dtype=hardware.vae_dtype,
            text_dtype=hardware.text_dtype,
            device=self.placement.loads_to(Path(file.path).stat().st_size, self._asked(file)),
            channels_last=hardware.channels_last,
            vae_path=Path(file.vae_path) if file.vae_path else None,
            title=file.title,
            sha256=file.sha256,
        )
        self._set_attention(model, file)
        if self._stored_in_8_bits(file, model.family):
            spared = keep_in_8_bits(model.unet)
            self._emit(Notice(text=f"{file.name}: its weights are kept in 8 bits, which spares {gigabytes(spared)}."))
        return model

    def _stored_in_8_bits(self, file: CheckpointFile, family: Family) -> bool:
        wanted = file.options.get("fp8_storage", "Disable")
        return wanted == "Enable" or (wanted == "Enable for SDXL" and family in _XL)

    def _set_attention(self, model: Model, file: CheckpointFile) -> None:
        setting = str(file.options.get("cross_attention_optimization", "Automatic"))
        upcast = bool(file.options.get("upcast_attn", False))
        hardware = self._hardware
        choice = choose_attention(hardware.wishes.attention, hardware.device, hardware.machine, setting, upcast=upcast)
        apply_attention(model.unet, choice)
        self.attention = choice

    def fit(self, request: RequestSize) -> MemoryPlan:
        """Place the loaded checkpoint for a request. Raises OutOfBudget when nothing makes it fit."""
        assert self._loaded is not None
        before = self.placement.plan
        asked = self._asked(self._loaded.file, self._loaded.model.family)
        plan = self.placement.fit(request, asked, self.attention)
        if before is None or (before.mode, before.tiled) != (plan.mode, plan.tiled):
            self._emit(Notice(text=f"{self._loaded.file.name}: {plan.why}."))
        self._set_speed(self._loaded, plan.mode)
        return plan

    def _set_speed(self, loaded: LoadedModel, mode: MemoryMode) -> None:
        """Compile the UNet where that is wanted and can be, or run it plain again."""
        wanted = mode if loaded.file.options.get("fast_mode") else None
        if wanted == loaded.sped_up_in:
            return
        loaded.sped_up_in = wanted
        if wanted is None:
            slow_down(loaded.model.unet)
            self.fast_mode = ""
            return
        slow_down(loaded.model.unet)
        self.fast_mode = speed_up(loaded.model.unet, self._hardware.device, wanted)
        self._emit(Notice(text=f"Fast mode {self.fast_mode}."))

    def _asked(self, file: CheckpointFile, family: Family | None = None) -> MemoryMode | None:
        flagged = self._memory
        if flagged is None and family in _XL:
            flagged = self._memory_sdxl
        return asked_memory(file.options, (file.name, file.title, Path(file.path).name), flagged)

    def step_down(self) -> MemoryMode | None:
        """What comes next in thrift after running out of memory. None when this was the thriftiest."""
        self.recover()
        return self.placement.step_down()

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
            self.placement.release()
            self.fast_mode = ""
            model.release()
            self._loaded = None
            self._emit(self.facts())


def _same_files(loaded: CheckpointFile, wanted: CheckpointFile) -> bool:
    """Whether what is loaded serves; weights that were cut to 8 bits don't grow again."""
    stored = loaded.options.get("fp8_storage") == wanted.options.get("fp8_storage")
    return stored and (loaded.path, loaded.vae_path) == (wanted.path, wanted.vae_path)
