"""The checkpoints of this process: one that jobs work with, and those that are cached beside it."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from modules.catalogue.contradictions import contradiction
from modules.catalogue.hashes import sha256_of
from modules.catalogue.model_errors import ModelFileError
from modules.engine.channel import Emit
from modules.engine.embedding_cache import EmbeddingCache
from modules.engine.facts import machine_facts
from modules.engine.failures import sentence_for
from modules.engine.loaded import LoadedModel, Origin, requested_prediction, stored_in_8_bits, unreadable_checkpoint
from modules.engine.look_ahead import OutlookCache, planned_turns
from modules.engine.model_cache import CacheLimits, FreeableCaches, ModelCache, Turns
from modules.engine.model_placement import ModelPlacement, requested_memory
from modules.engine.network_cache import NetworkCache
from modules.engine.tiny_autoencoder_cache import TinyAutoencoderCache
from modules.families import Family
from modules.hardware.attention import AttentionChoice, apply_attention, choose_attention
from modules.hardware.budget import MemoryMode, MemoryPlan, RequestSize, gigabytes
from modules.hardware.choice import Hardware
from modules.hardware.compiling import slow_down, speed_up
from modules.hardware.fp8_weights import store_in_8_bits
from modules.prompt import clip_tokenizer
from modules.protocol import CheckpointFailed, CheckpointFile, CheckpointLoaded, CheckpointLoading, MachineFacts, Notice
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import check_heads, exchange_vae, is_scaled_for, load_checkpoint, load_vae
from modules.weights.networks.hypernetwork import read_hypernetwork
from modules.weights.networks.merging import NetworkMerger
from modules.weights.networks.reading import read_network
from modules.weights.tiny_autoencoder import Half

_log = logging.getLogger(__name__)


class ModelKeeper:
    """Owns the loaded checkpoints of this process."""

    def __init__(
        self,
        hardware: Hardware,
        emit: Emit,
        memory: MemoryMode | None = None,
        embeddings: EmbeddingCache | None = None,
        memory_sdxl: MemoryMode | None = None,
        tiny: TinyAutoencoderCache | None = None,
    ) -> None:
        """`memory` is the mode that the flags set, `memory_sdxl` for SDXL only; without one it follows from what
        is free and what the request needs.
        """
        self._embeddings = embeddings
        self._hardware = hardware
        self._memory = memory
        self._memory_sdxl = memory_sdxl
        self._tiny = tiny
        self.attention = hardware.attention
        self._emit = emit
        self._tokenizer = clip_tokenizer()
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._hashes: dict[Origin, Future[str]] = {}
        self._loaded: LoadedModel | None = None
        self._cache = ModelCache(hardware.device)
        self._outlooks = OutlookCache(hardware)
        self._turns = Turns()
        self.networks = NetworkCache(read_network, self._hashing.submit, self._cache.make_room)
        self.hypernetworks = NetworkCache(read_hypernetwork, self._hashing.submit, self._cache.make_room)
        self.placement = ModelPlacement(hardware, FreeableCaches(self._cache, lambda: self._loaded))

    def facts(self) -> MachineFacts:
        """What this process makes of its machine at this moment."""
        loaded = self._loaded
        return machine_facts(
            self._hardware,
            self.attention,
            self.placement.plan,
            self.placement.weights,
            in_8_bits=loaded is not None and loaded.in_8_bits,
            fast_mode="" if loaded is None or loaded.fast_mode is None else loaded.fast_mode.summary,
            cached=self._cache.listed(),
        )

    def tiny(self, half: Half, family: Family) -> nn.Module | str:
        """The tiny autoencoder's half for that family, or why there is none."""
        return "TAESD is not at hand" if self._tiny is None else self._tiny.half(half, family)

    def load(self, file: CheckpointFile) -> LoadedModel:
        """`file`, loaded. Raises ModelFileError with one sentence: the one before stays if the files' heads say it."""
        loaded, now = self._loaded, Origin.of(file.path)
        if loaded is None or not loaded.serves(file, now):
            loaded = self._switch(file, now)
        else:
            self._cache.apply(CacheLimits.of(file.load_options, self._turns))
            if not loaded.vae_origin.serves(_vae_origin(file, now)):
                self._use(None)
                loaded = self._bring_back(loaded, file, now)
        self._set_attention(loaded, file)
        loaded.file = file
        loaded.bundled = {}
        stated = loaded.model.stated
        said = None if stated.is_flow else requested_prediction(file.load_options, _names(file))
        loaded.model.predicts = said or stated
        if self._embeddings is not None:
            loaded.encoder.begin(self._embeddings.fitting(loaded.model))
        return loaded

    def _switch(self, file: CheckpointFile, now: Origin) -> LoadedModel:
        """Cache the loaded checkpoint, and take `file` from the cache, or read it."""
        back = self._cache.take(file, now)
        if back is None:
            # Before the one in use is given up, and before gigabytes are read.
            with self._failure_reported(file):
                vae = Path(file.vae_path) if file.vae_path else None
                check_heads(Path(file.path), vae, tuple(map(Path, file.text_paths)))
        self._cache_loaded()
        self._cache.apply(CacheLimits.of(file.load_options, self._turns))
        return self._read(file, now) if back is None else self._bring_back(back, file, now)

    def _use(self, loaded: LoadedModel | None) -> LoadedModel | None:
        """Make this the loaded checkpoint, or none; returns the one before, whose parts are no longer placed."""
        before, self._loaded = self._loaded, loaded
        if before is not None:
            self.placement.release()
            # What is cached is the checkpoint itself, and originals take no memory.
            try:
                before.networks.restore()
            except (ModelFileError, OSError) as error:
                _log.warning("%s is not cached: %s", before.file.name, error)
                before.release()
                return None
        return before

    def _cache_loaded(self) -> None:
        if (before := self._use(None)) is not None:
            self._cache.add(before)

    def _read(self, file: CheckpointFile, now: Origin) -> LoadedModel:
        self._emit(CheckpointLoading(title=file.title))
        started = time.monotonic()
        with self._failure_reported(file):
            loaded = self._read_files(file, now)
            self._place(loaded, file)
        self._report_loaded(loaded, file, started, read=True)
        return loaded

    def _bring_back(self, cached: LoadedModel, file: CheckpointFile, now: Origin) -> LoadedModel:
        """Work with a checkpoint that is in memory, with the VAE that `file` names."""
        started = time.monotonic()
        with self._failure_reported(file):
            try:
                self._exchange_vae(cached, file, _vae_origin(file, now))
            except (ModelFileError, OSError, RuntimeError, MemoryError):
                # It is as it was: only the other VAE could not be read.
                self._cache.add(cached)
                self._cache.apply(CacheLimits.of(file.load_options, self._turns))
                raise
            self._set_attention(cached, file)
            self._place(cached, file)
        self._report_loaded(cached, file, started, read=False)
        return cached

    def _report_loaded(self, loaded: LoadedModel, file: CheckpointFile, started: float, *, read: bool) -> None:
        self._loaded = loaded
        width, height = loaded.model.resolution or (None, None)
        seconds = time.monotonic() - started
        self._emit(CheckpointLoaded(title=file.title, seconds=seconds, width=width, height=height, read=read))
        self._emit(self.facts())

    @contextmanager
    def _failure_reported(self, file: CheckpointFile) -> Iterator[None]:
        """Turn what can go wrong while a checkpoint is loaded into a sentence, and report it."""
        try:
            yield
        except OSError as error:
            cause = unreadable_checkpoint(file, error)
            self._report_failed(file, cause)
            raise ModelFileError(cause) from error
        except ModelFileError as error:
            self._report_failed(file, str(error))
            raise
        except (RuntimeError, MemoryError) as error:
            self._report_failed(file, sentence_for(error, self._hardware))
            raise

    def _report_failed(self, file: CheckpointFile, cause: str) -> None:
        self._emit(CheckpointFailed(title=file.title, cause=cause))
        self._emit(self.facts())

    def _place(self, loaded: LoadedModel, file: CheckpointFile) -> None:
        try:
            mode = self._wanted_mode(file, loaded.model.family)
            self.placement.take(loaded.model, mode, loaded.attention)
        except (RuntimeError, MemoryError):
            self.placement.release()
            loaded.release()
            raise

    def _read_files(self, file: CheckpointFile, now: Origin) -> LoadedModel:
        hardware, vae_origin = self._hardware, _vae_origin(file, now)
        model = load_checkpoint(
            Path(file.path),
            dtype=hardware.unet_dtype,
            vae_dtype=hardware.vae_dtype,
            text_dtype=hardware.text_dtype,
            device=self.placement.loads_to(_size_on_disk(file), self._wanted_mode(file)),
            channels_last=hardware.channels_last,
            vae_path=Path(file.vae_path) if file.vae_path else None,
            vae=self._cache.take_vae(vae_origin),
            text_paths=tuple(map(Path, file.text_paths)),
            mapped=_mapped(file),
            make_room=self._cache.make_room,
            title=file.title,
            sha256=file.sha256,
        )
        if (said := contradiction(model.path, model.family)) is not None:
            self._emit(Notice(text=said, level="warning"))
        attention = self._attention_for(file)
        apply_attention(model.unet, attention)
        in_8_bits = stored_in_8_bits(file, model.family)
        if in_8_bits:
            spared = store_in_8_bits(model.unet)
            self._emit(Notice(text=f"{file.name}: its weights are kept in 8 bits, which spares {gigabytes(spared)}."))
        return LoadedModel(
            file=file,
            origin=now,
            vae_origin=vae_origin,
            model=model,
            encoder=PromptEncoder(model, self._tokenizer),
            sha256=self._hash(now, file.sha256),
            attention=attention,
            networks=NetworkMerger(model, hardware.device, self._cache.make_room, now.states[0]),
            vae_sha256=self._hash(vae_origin, None) if file.vae_path else None,
            text_origins=tuple(map(Origin.of, file.text_paths)),
            embeddings=self._embeddings,
            in_8_bits=in_8_bits,
        )

    def _exchange_vae(self, loaded: LoadedModel, file: CheckpointFile, wanted: Origin) -> None:
        """Put the VAE of `file` into a checkpoint that is not placed, unless it is there; the one before is cached."""
        if loaded.vae_origin.serves(wanted):
            return
        hardware, model = self._hardware, loaded.model
        vae = self._cache.take_vae(wanted)
        if vae is None or not is_scaled_for(vae, model.family):
            vae = load_vae(
                wanted.path,
                dtype=hardware.vae_dtype,
                channels_last=hardware.channels_last,
                family=model.family,
                mapped=_mapped(file),
            )
        before = exchange_vae(model, vae, wanted.path if file.vae_path else None)
        self._cache.add_vae(loaded.vae_origin, before)
        loaded.vae_origin = wanted
        loaded.vae_sha256 = self._hash(wanted, None) if file.vae_path else None
        loaded.colours = None
        self._cache.apply(CacheLimits.of(file.load_options, self._turns))

    def _attention_for(self, file: CheckpointFile) -> AttentionChoice:
        options, hardware = file.load_options, self._hardware
        return choose_attention(
            hardware.requested.attention,
            hardware.device,
            hardware.machine,
            options.cross_attention_optimization,
            upcast=options.upcast_attn,
        )

    def _set_attention(self, loaded: LoadedModel, file: CheckpointFile) -> None:
        if _attention_options(loaded.file) != _attention_options(file):
            loaded.attention = self._attention_for(file)
            apply_attention(loaded.model.unet, loaded.attention)
        self.attention = loaded.attention

    def fit(self, request: RequestSize) -> MemoryPlan:
        """Place the loaded checkpoint for a request. Raises OutOfBudget when nothing makes it fit."""
        assert self._loaded is not None
        before = self.placement.plan
        mode = self._wanted_mode(self._loaded.file, self._loaded.model.family)
        plan = self.placement.fit(request, mode, self.attention)
        if before is None or (before.mode, before.tiled) != (plan.mode, plan.tiled):
            self._emit(Notice(text=f"{self._loaded.file.name}: {plan.why}."))
        self._set_speed(self._loaded, plan.mode)
        if plan.mode != "full":
            # Now, while nothing else is on the card: between two steps the VAE would push the UNet off it.
            self._loaded.preview_colours()
        return plan

    def _set_speed(self, loaded: LoadedModel, mode: MemoryMode) -> None:
        """Make the UNet fast where that is wanted and can be, or run it plain again."""
        wanted = mode if loaded.file.load_options.fast_mode else None
        if wanted == loaded.sped_up_in:
            return
        loaded.sped_up_in = wanted
        slow_down(loaded.model.unet)
        loaded.fast_mode = None if wanted is None else speed_up(loaded.model.unet, self._hardware.device, wanted)
        if loaded.fast_mode is not None:
            self._emit(Notice(text=f"Fast mode: {loaded.fast_mode.summary}."))

    def _wanted_mode(self, file: CheckpointFile, family: Family | None = None) -> MemoryMode | None:
        flagged = self._memory
        if flagged is None and family is not None and family.follows_sdxl_settings:
            flagged = self._memory_sdxl
        return requested_memory(file.load_options, _names(file), flagged)

    def step_down(self) -> MemoryMode | None:
        """After running out of memory: the next thriftier mode, from now on. None when this was the thriftiest."""
        self.recover()
        return self.placement.step_down()

    def make_room(self) -> bool:
        """Leave the device for a job that needs no checkpoint; returns whether there was something on it.

        The checkpoint in use stays in main memory if checkpoints are cached there, and is unloaded otherwise.
        """
        found = self._loaded is not None or self._cache.on_device > 0
        self._cache_loaded()
        self._cache.leave_device()
        self.recover()
        self._emit(self.facts())
        return found

    @contextmanager
    def turns(self, files: Sequence[CheckpointFile], request: RequestSize) -> Iterator[None]:
        """While open, a job goes back and forth between these checkpoints: they stay in memory meanwhile.

        They stay on the device where it has room for all of them, else those that don't run step aside.

        Raises:
            OutOfBudget: one of them won't fit, though it has the device to itself.
            ModelFileError: one of them can't be loaded.
        """
        if len(files) > 1:
            known = [(file, self._outlooks.of(file)) for file in files]
            modes = [self._wanted_mode(file, one.family) for file, one in known]
            self._turns = planned_turns(self.placement, known, modes, request)
        try:
            yield
        finally:
            if self._turns.others and self._loaded is not None:
                self._cache.apply(CacheLimits.of(self._loaded.file.load_options))
            self._turns = Turns()

    def begin_job(self) -> None:
        """Cache checkpoints on the device again, if an earlier job could not afford that."""
        self._cache.sparing = False

    def drop_cached(self) -> bool:
        """After running out of memory: drop what is cached on the device, and cache nothing there until the next job.

        Returns whether there was something.
        """
        found = self._cache.drop_on_device()
        self.recover()
        return found

    def stop_replaying(self) -> bool:
        """After running out of memory: do without recorded steps, which hold a step's work. Says if there were any."""
        loaded, plan = self._loaded, self.placement.plan
        graphs = loaded.fast_mode.graphs if loaded is not None and loaded.fast_mode is not None else None
        if graphs is None or graphs.trouble or plan is None or not plan.recorded:
            return False
        graphs.trouble = "memory ran out"
        self.recover()
        return True

    def _hash(self, origin: Origin, known: str | None) -> Future[str]:
        """The file's sha256, known already or worked out beside the first steps: a picture's infotext needs it."""
        if known is not None:
            future: Future[str] = Future()
            future.set_result(known)
            return future
        hashed = self._hashes.get(origin)
        if hashed is None or (hashed.done() and hashed.exception() is not None):
            hashed = self._hashes[origin] = self._hashing.submit(sha256_of, origin.path)
        return hashed

    def recover(self) -> None:
        """Drop what a failed job may have left on the device, so that the next one finds the room it needs."""
        gc.collect()
        if self._hardware.device.type == "cuda":
            torch.cuda.empty_cache()

    def unload(self) -> None:
        """Give back every byte the checkpoints hold, those in the cache too."""
        self._cache_loaded()
        if self._cache.clear():
            self._emit(self.facts())


def _vae_origin(file: CheckpointFile, checkpoint: Origin) -> Origin:
    """Where the VAE of `file` comes from: of a file of its own, or out of the checkpoint's."""
    return Origin.of(file.vae_path) if file.vae_path else checkpoint


def _size_on_disk(file: CheckpointFile) -> int:
    """Bytes of a checkpoint's own file and of its text encoders', where they have their own. A VAE's hardly count."""
    return sum(Path(path).stat().st_size for path in (file.path, *file.text_paths))


def _names(file: CheckpointFile) -> tuple[str, ...]:
    """Under which names settings speak of a checkpoint."""
    return file.name, file.title, Path(file.path).name


def _attention_options(file: CheckpointFile) -> tuple[str, bool]:
    return file.load_options.cross_attention_optimization, file.load_options.upcast_attn


def _mapped(file: CheckpointFile) -> bool:
    return not file.load_options.disable_mmap_load_safetensors
