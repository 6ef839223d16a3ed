"""Where a loaded checkpoint's parts lie, decided anew for each job from what is free and what the job needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

import torch

from modules.hardware.attention import AttentionChoice, scores_of
from modules.hardware.available_memory import MAIN_RESERVE
from modules.hardware.budget import (
    MODES,
    RESERVE,
    THRIFTIER,
    AuxiliarySize,
    ControlSize,
    MemoryMode,
    MemoryPlan,
    ModelSize,
    OutOfBudget,
    RequestSize,
    choose_plan,
    fit_together,
)
from modules.hardware.choice import Hardware
from modules.hardware.device import has_own_memory, memory_now
from modules.hardware.main_memory import give_back_memory
from modules.hardware.model_size import size_of
from modules.hardware.offload import Offloader
from modules.hardware.vae_tiling import disable_vae_tiling, enable_vae_tiling
from modules.parameters import ResolvedRequest
from modules.parameters.load_options import LoadOptions, entries_for
from modules.parameters.upscalers import LATENT_UPSCALE_MODES
from modules.weights.model import Model

# Moving the UNet about to use less room than this is not worth its time, in bytes.
_WORTH_MOVING: Final = 500_000_000
# Free memory is never the same twice. So little may be missing before pieces leave the device: the reserve has room.
_NOT_MISSED: Final = RESERVE // 3


class Others(Protocol):
    """What lies on the device beside the checkpoint and its work."""

    @property
    def on_device(self) -> int:
        """Its bytes."""
        ...

    def free_device(self, enough: Callable[[], bool]) -> None:
        """Leave the device, piece by piece, until there is `enough` room."""
        ...


class Nothing:
    """No others."""

    on_device = 0

    def free_device(self, enough: Callable[[], bool]) -> None:
        pass


class ModelPlacement:
    """Owns the device for one loaded checkpoint. Only CUDA devices have memory of their own to be thrifty with."""

    def __init__(self, hardware: Hardware, others: Others | None = None) -> None:
        """`others` count as free memory, and leave the device when that is needed."""
        self._hardware = hardware
        self._others = others or Nothing()
        self._modes: tuple[MemoryMode, ...] = MODES if has_own_memory(hardware.device) else ("full",)
        self._least: MemoryMode = "full"
        self._model: Model | None = None
        self._offloader: Offloader | None = None
        self._size: ModelSize | None = None
        self.plan: MemoryPlan | None = None

    @property
    def weights(self) -> int:
        """Bytes of the loaded checkpoint's weights."""
        return 0 if self._size is None else self._size.weights

    def loads_to(self, file_size: int, wanted: MemoryMode | None) -> torch.device:
        """Where a checkpoint of a file of so many bytes should be read to: what comes and goes, to main memory.

        A half-precision file is as large as what is loaded; others are larger, which errs on the safe side.
        """
        if len(self._modes) == 1:
            return self._hardware.device

        def fits() -> bool:
            return file_size + RESERVE < self._free()

        stays = wanted in (None, "full") and self._least == "full"
        if stays:
            self._others.free_device(fits)
        return self._hardware.device if stays and fits() else torch.device("cpu")

    def take(self, model: Model, wanted: MemoryMode | None, attention: AttentionChoice | None = None) -> MemoryPlan:
        """Place a newly loaded checkpoint, for a picture of its own size until a job says otherwise."""
        self._model = model
        self._offloader = Offloader(self._hardware.device, model.unet, (model.vae, *model.text_encoders))
        self._size = size_of(model.unet, model.vae, *model.text_encoders)
        try:
            return self.fit(RequestSize(*model.default_resolution), wanted, attention)
        except OutOfBudget:
            # A smaller picture may fit. What doesn't is refused when a job wants it.
            thriftiest = self._modes[-1]
            self._offloader.apply(thriftiest)
            self.plan = MemoryPlan(thriftiest, "there is little memory for this checkpoint", tiled=True)
            return self.plan

    def fit(
        self, request: RequestSize, wanted: MemoryMode | None, attention: AttentionChoice | None = None
    ) -> MemoryPlan:
        """Place the checkpoint for this request, with the attention in use if it is not the hardware's own choice.

        Raises OutOfBudget when nothing makes it fit.
        """
        assert self._size is not None and self._offloader is not None
        ignored = wanted if len(self._modes) == 1 and wanted != "full" else None
        plan = self._with_others(self._planner(self._size, request, wanted, attention))
        if self._must_move(plan):
            self._offloader.apply(plan.mode, plan.resident)
        elif self.plan is not None:
            plan = replace(plan, resident=self.plan.resident)
        if ignored:
            plan = replace(plan, why=f"{plan.why}; {ignored} was requested, but no card has memory of its own here")
        self.plan = plan
        return plan

    def _planner(
        self, size: ModelSize, request: RequestSize, wanted: MemoryMode | None, attention: AttentionChoice | None
    ) -> Callable[[int], MemoryPlan]:
        """What plans a request for a checkpoint of that size, with so many bytes free."""
        if len(self._modes) == 1 or (wanted and MODES.index(wanted) < MODES.index(self._least)):
            wanted = None
        return partial(
            choose_plan,
            model=size,
            request=request,
            required=wanted,
            least=self._least,
            modes=self._modes,
            scores=scores_of(attention or self._hardware.attention),
            cpu=self._hardware.device.type == "cpu",
            device=str(self._hardware.device) if len(self._modes) > 1 else "this machine",
        )

    def plan_ahead(self, size: ModelSize, request: RequestSize, wanted: MemoryMode | None) -> MemoryPlan:
        """How a checkpoint that is not loaded yet will run once it has the device to itself.

        Raises OutOfBudget when nothing makes it fit.
        """
        return self._planner(size, request, wanted, None)(self._free() + self._others.on_device)

    def has_room_for_all(self, sizes: Sequence[ModelSize], request: RequestSize) -> bool:
        """Whether checkpoints of these sizes can stay on the device together while each of them runs."""
        return fit_together(
            self._free() + self._others.on_device,
            sizes,
            request,
            scores=scores_of(self._hardware.attention),
            cpu=self._hardware.device.type == "cpu",
        )

    def _with_others(self, plan_for: Callable[[int], MemoryPlan]) -> MemoryPlan:
        """The plan for what is free, for which others leave the device as far as that makes it better."""

        def as_good_as(wanted: MemoryPlan, spare: int = 0) -> bool:
            try:
                return _way(plan_for(self._free() - spare)) == _way(wanted)
            except OutOfBudget:
                return False

        # In main memory there is more than a plan knows of: upscalers, other programs.
        spare = 0 if has_own_memory(self._hardware.device) else MAIN_RESERVE - RESERVE
        if spare and not as_good_as(plan_for(sys.maxsize)):
            give_back_memory()  # the C library holds some for the next step
        alone = plan_for(self._free() + self._others.on_device)
        self._others.free_device(lambda: as_good_as(alone, spare))
        return plan_for(self._free())

    @contextmanager
    def tiles(self, wanted: bool) -> Iterator[None]:
        """While open and `wanted`, the VAE works in tiles."""
        model = self._model
        assert model is not None
        if wanted:
            enable_vae_tiling(model.vae)
        try:
            yield
        finally:
            if model.loaded:
                disable_vae_tiling(model.vae)

    def step_aside(self) -> None:
        """Have the part that lies on the device leave it where parts take turns there; its next call brings it back."""
        if self._offloader is not None:
            self._offloader.offload()

    def step_down(self) -> MemoryMode | None:
        """After running out of memory: the next thriftier mode, from now on. None when there is none."""
        if self.plan is None or self._hardware.device.type != "cuda":
            return None
        thriftier = THRIFTIER.get(self.plan.mode)
        if thriftier is not None:
            self._least = thriftier
        return thriftier

    def release(self) -> None:
        """Drop the checkpoint."""
        if self._offloader is not None:
            self._offloader.close()
        self._offloader = self._model = self._size = self.plan = None

    def _free(self) -> int:
        """Bytes that are there for the checkpoint and its work, those among them that it holds already."""
        free = memory_now(self._hardware.device)[0]
        if has_own_memory(self._hardware.device):
            return free + torch.cuda.memory_allocated(self._hardware.device) - self._others.on_device
        return free + self.weights

    @property
    def all_at_once(self) -> bool:
        """Whether every part of the checkpoint stays on the device, so that none takes another's place."""
        return self.plan is None or self.plan.mode == "full"

    def _must_move(self, plan: MemoryPlan) -> bool:
        before = self.plan
        if before is None or before.mode != plan.mode:
            return True
        return not -_NOT_MISSED <= plan.resident - before.resident <= _WORTH_MOVING


def _way(plan: MemoryPlan) -> tuple[MemoryMode, int, bool, int]:
    """What of a plan is worth the place of other checkpoints. Decoding beside the steps is not worth one."""
    return plan.mode, plan.images, plan.tiled, plan.resident


def request_size(
    resolved: ResolvedRequest,
    *,
    together: int,
    controls: tuple[ControlSize, ...] = (),
    auxiliaries: tuple[AuxiliarySize, ...] = (),
) -> RequestSize:
    """What a job needs of the device in its largest pass, with at most `together` images at once, with these control
    models beside the checkpoint, and with these networks of features between its forwards.
    """
    request = resolved.request
    inner = [request.model_copy(update=one.fields) for ones in resolved.inner.values() for one in ones]
    sizes = [*(one.size for one in resolved.passes), *((one.width, one.height) for one in inner)]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    # Each text joined with AND is a row of its own, and the negative prompt another.
    rows = 2 + max(one.prompt.count(" AND ") for one in (request, *inner))
    enlarged = request.enable_hr and request.hr_upscaler not in LATENT_UPSCALE_MODES
    encodes = request.mode == "img2img" or enlarged or bool(inner)
    return RequestSize(width, height, min(together, request.batch_size), rows, encodes, controls, auxiliaries)


def requested_memory(options: LoadOptions, names: tuple[str, ...], flagged: MemoryMode | None) -> MemoryMode | None:
    """The memory mode that is set for a checkpoint known by any of `names`: its own entry in
    `checkpoint_memory` ("name: mode"), else the setting for all, else the flag. None leaves it to the budget.
    """
    for mode in entries_for(options.checkpoint_memory, names):
        if mode in ("automatic", *MODES):
            return _mode(mode)
    return flagged if options.memory_mode == LoadOptions().memory_mode else _mode(options.memory_mode)


def _mode(name: str) -> MemoryMode | None:
    return next((mode for mode in MODES if mode == name), None)
