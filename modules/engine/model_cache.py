"""What stays in memory beside the checkpoint in use: other checkpoints, and VAEs that were exchanged for another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from modules.engine.loaded import LoadedModel, Origin
from modules.hardware.available_memory import MAIN_RESERVE, main_memory
from modules.hardware.device import has_own_memory, module_bytes, move
from modules.hardware.main_memory import give_back_memory
from modules.hardware.model_configs import VaeModule
from modules.parameters.load_options import LoadOptions
from modules.protocol import CachedModel, CheckpointFile


@dataclass(frozen=True, slots=True)
class Turns:
    """How many other checkpoints the job under way comes back to, and whether they leave the device meanwhile."""

    others: int = 0
    step_aside: bool = False


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How many checkpoints and VAEs may stay beside the checkpoint in use, and how many of them on the device."""

    checkpoints: int = 0
    on_device: int = 0
    vaes: int = 0

    @staticmethod
    def of(options: LoadOptions, turns: Turns | None = None) -> CacheLimits:
        """A1111's cache is in main memory and comes on top of its limit, in which the one in use counts.

        Those that take `turns` with the one in use stay until the job ends, whatever the limit.
        """
        others, turns = options.sd_checkpoints_limit - 1, turns or Turns()
        on_device = 0 if options.sd_checkpoints_keep_in_cpu else others
        return CacheLimits(
            checkpoints=max(others + options.sd_checkpoint_cache, turns.others),
            on_device=0 if turns.step_aside else max(on_device, turns.others),
            vaes=options.sd_vae_checkpoint_cache,
        )


class ModelCache:
    """Owns what is cached, in the order of its last use, and drops the oldest when its memory is needed.

    Where the device has no memory of its own everything is in main memory, and so on the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.sparing = False
        self._limits = CacheLimits()
        self._models: list[LoadedModel] = []
        self._vaes: dict[Origin, VaeModule] = {}

    @property
    def on_device(self) -> int:
        """Bytes on the device, which `free_device` frees for a job that needs them."""
        spare = 0 if has_own_memory(self._device) else sum(map(module_bytes, self._vaes.values()))
        return spare + sum(loaded.memory for loaded in self._models if self._is_on_device(loaded))

    def listed(self) -> tuple[CachedModel, ...]:
        """What is cached, for the System page; the last used first."""
        own = has_own_memory(self._device)
        vaes = [
            CachedModel(name=origin.path.name, part="VAE", size=module_bytes(vae)) for origin, vae in self._vaes.items()
        ]
        models = [
            CachedModel(name=one.file.name, size=one.weights, on_device=own and not one.in_main_memory)
            for one in self._models
        ]
        return tuple(reversed([*vaes, *models]))

    # Coming and going

    def add(self, loaded: LoadedModel) -> None:
        """Cache a checkpoint whose parts are no longer placed; `apply` drops it again if there is no place for it."""
        self._models.append(loaded)

    def take(self, file: CheckpointFile, now: Origin) -> LoadedModel | None:
        """Take out the checkpoint that serves for `file`. Those whose file has changed since are dropped."""
        for stale in [one for one in self._models if one.origin.path == now.path and not one.origin.serves(now)]:
            self._drop(stale)
        found = next((one for one in self._models if one.serves(file, now)), None)
        if found is not None:
            self._models.remove(found)
        return found

    def add_vae(self, origin: Origin, vae: VaeModule) -> None:
        """Cache a VAE that is in no checkpoint; `apply` drops it again if there is no place for it."""
        self._vaes.pop(origin, None)
        self._vaes[origin] = vae

    def take_vae(self, now: Origin) -> VaeModule | None:
        """Take out the VAE that serves for a file."""
        for stale in [one for one in self._vaes if one.path == now.path and not one.serves(now)]:
            del self._vaes[stale]
        return self._vaes.pop(next((one for one in self._vaes if one.serves(now)), now), None)

    def apply(self, limits: CacheLimits) -> None:
        """Cache so much and in these places from now on: the oldest go first."""
        self._limits = limits
        limits = self._spared(limits) if self.sparing else limits
        while len(self._models) > limits.checkpoints:
            self._drop(self._models[0])
        for loaded in self._models[: max(0, len(self._models) - limits.on_device)]:
            self._move_to_main_memory(loaded)
        while len(self._vaes) > limits.vaes:
            self._drop_oldest_vae()
        for vae in self._vaes.values() if has_own_memory(self._device) else ():
            move(vae, "cpu")

    # Making room

    def make_room(self, needed: int) -> bool:
        """Drop the oldest in main memory until it holds so many bytes more, with a reserve; returns whether it does."""
        if main_memory().available < needed + MAIN_RESERVE:
            give_back_memory()  # the C library holds some for the next step
        while main_memory().available < needed + MAIN_RESERVE:
            if self._vaes:
                self._drop_oldest_vae()
            elif (oldest := next((one for one in self._models if self._is_in_main_memory(one)), None)) is not None:
                self._drop(oldest)
            else:
                return False
        return True

    def free_device(self, enough: Callable[[], bool]) -> None:
        """Move to main memory, the oldest first, until the device has `enough` room; drop what does not fit there."""
        own = has_own_memory(self._device)
        while not own and self._vaes and not enough():
            self._drop_oldest_vae()
        for loaded in [one for one in self._models if self._is_on_device(one)]:
            if enough():
                return
            if own:
                self._move_to_main_memory(loaded)
            else:
                self._drop(loaded)

    def leave_device(self) -> None:
        """Leave the device altogether; in main memory stay as many as the limits allow."""
        self.apply(self._spared(self._limits))

    def _spared(self, limits: CacheLimits) -> CacheLimits:
        """As much with nothing on the device."""
        return replace(limits, on_device=0) if has_own_memory(self._device) else CacheLimits()

    def drop_on_device(self) -> bool:
        """Drop all that is on the device, and cache nothing there while `sparing`; returns whether there was any."""
        found = self.on_device > 0
        self.sparing = True
        for loaded in [one for one in self._models if self._is_on_device(one)]:
            self._drop(loaded)
        while self._vaes and not has_own_memory(self._device):
            self._drop_oldest_vae()
        return found

    def clear(self) -> bool:
        """Drop everything; returns whether there was anything."""
        found = bool(self._models or self._vaes)
        self.apply(CacheLimits())
        return found

    def _is_on_device(self, loaded: LoadedModel) -> bool:
        return not has_own_memory(self._device) or not loaded.in_main_memory

    def _is_in_main_memory(self, loaded: LoadedModel) -> bool:
        return not has_own_memory(self._device) or loaded.in_main_memory

    def _move_to_main_memory(self, loaded: LoadedModel) -> None:
        """To main memory, where older ones make room; a checkpoint that would not fit even then is dropped."""
        if self._is_in_main_memory(loaded):
            return
        needed = loaded.weights
        if not self.make_room(needed):
            self._drop(loaded)
            return
        loaded.encoder.forget()  # its cached encodings lie on the device
        for part in loaded.parts:
            part.to("cpu")

    def _drop(self, loaded: LoadedModel) -> None:
        self._models.remove(loaded)
        loaded.release()

    def _drop_oldest_vae(self) -> None:
        del self._vaes[next(iter(self._vaes))]


class FreeableCaches:
    """What leaves the device for a job that needs the room: cached encodings first, then cached checkpoints."""

    def __init__(self, cache: ModelCache, loaded: Callable[[], LoadedModel | None]) -> None:
        self._cache = cache
        self._loaded = loaded

    @property
    def on_device(self) -> int:
        loaded = self._loaded()
        return self._cache.on_device + (0 if loaded is None else loaded.encoder.cached_bytes)

    def free_device(self, enough: Callable[[], bool]) -> None:
        loaded = self._loaded()
        if loaded is not None and loaded.encoder.cached_bytes and not enough():
            loaded.encoder.forget()
        self._cache.free_device(enough)
