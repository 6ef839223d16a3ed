"""The one owner of what lies on the device: a model's parts come and go through it, in the way its plan says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from torch import nn
from torch.utils.hooks import RemovableHandle

from modules.hardware.budget import MemoryMode
from modules.hardware.device import module_bytes
from modules.hardware.pinned_weights import PinnedWeights, pin, unpin
from modules.hardware.sizes import pieces
from modules.hardware.streaming import WeightStream
from modules.hardware.streams import streams_for


class Offloader:
    """Owns a model's UNet and its other parts, which are loaded into main memory first unless they stay on the device.

    "full" keeps all of them on the device. "medvram" brings the part that is called and takes the last one home.
    "lowvram" does so with the others and streams the UNet, of which `resident` bytes stay on the device.
    """

    def __init__(self, device: torch.device, unet: nn.Module, others: Sequence[nn.Module]) -> None:
        self._device = device
        self._unet = unet
        self._others = tuple(others)
        self._guests: dict[nn.Module, PinnedWeights] = {}
        self._present: nn.Module | None = None
        self._staying: list[PinnedWeights] = []
        self._stream: WeightStream | None = None
        self._hooks: list[RemovableHandle] = []
        self._pinned: list[int] = []

    def arrange(self, mode: MemoryMode, resident: int = 0) -> None:
        """Put every part where `mode` wants it, from wherever it is now."""
        self.dissolve()
        if mode == "full":
            for part in (self._unet, *self._others):
                part.to(self._device)
            return
        for part in (self._unet, *self._others):
            if any(tensor.device.type != "cpu" for tensor in part.parameters()):
                part.to("cpu")
        if self._device.type == "cuda":
            self._pinned = pin([tensor for part in (self._unet, *self._others) for tensor in part.parameters()])
        guests = self._others if mode == "lowvram" else (self._unet, *self._others)
        for part in guests:
            self._guests[part] = PinnedWeights.of(part)
            add_hook_to_module(part, _Visit(self, part, self._device))
        if mode == "lowvram":
            self._stream_unet(resident)

    def come(self, part: nn.Module) -> None:
        """Bring `part` to the device; whoever was there goes home first."""
        if self._present is part:
            return
        self.leave()
        self._guests[part].bring(self._device)
        self._present = part

    def leave(self) -> None:
        """Take home whoever visits the device."""
        if self._present is not None:
            self._guests[self._present].carry_back()
            self._present = None
            if self._device.type == "cuda":
                # What lies in main memory may be read from now on. Once for each phase of a job, never in its steps.
                torch.cuda.current_stream(self._device).synchronize()

    def dissolve(self) -> None:
        """End the arrangement: no hooks, no slots, and every part whole where its weights are at home."""
        self.leave()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        for luggage in self._staying:
            luggage.carry_back()
        self._staying.clear()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        for part in self._guests:
            remove_hook_from_module(part)
        self._guests.clear()
        unpin(self._pinned)
        self._pinned.clear()

    def _stream_unet(self, resident: int) -> None:
        streamed, staying = _shared_out(list(pieces(self._unet)), resident)
        inside = {id(tensor) for piece in (*streamed, *staying) for tensor in (*piece.parameters(), *piece.buffers())}
        rest = [tensor for tensor in (*self._unet.parameters(), *self._unet.buffers()) if id(tensor) not in inside]
        self._staying = [PinnedWeights.of(piece) for piece in staying]
        self._staying.append(PinnedWeights(tuple(rest), tuple(tensor.data for tensor in rest)))
        for luggage in self._staying:
            luggage.bring(self._device)
        self._hooks.append(self._unet.register_forward_pre_hook(lambda _module, _inputs: self.leave()))
        if streamed:
            self._stream = WeightStream(self._unet, streamed, self._device, streams_for(self._device))


def _shared_out(parts: list[nn.Module], resident: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """(streamed, staying): pieces of about `resident` bytes stay, spread evenly so that copies never pile up."""
    sizes = [module_bytes(part) for part in parts]
    share = resident / max(1, sum(sizes))
    streamed, staying = [], []
    passed = kept = 0
    for part, size in zip(parts, sizes, strict=True):
        passed += size
        if kept + size <= min(passed * share, resident):
            staying.append(part)
            kept += size
        else:
            streamed.append(part)
    return streamed, staying


class _Visit(ModelHook):  # type: ignore[misc]
    """Has a part brought to the device before it computes, and its inputs with it. diffusers calls it for a VAE's
    `encode` and `decode` too.
    """

    def __init__(self, residence: Offloader, part: nn.Module, device: torch.device) -> None:
        self._residence = residence
        self._part = part
        self.execution_device = device

    def pre_forward(
        self, module: nn.Module, *args: object, **kwargs: object
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        self._residence.come(self._part)
        return tuple(map(self._moved, args)), {key: self._moved(value) for key, value in kwargs.items()}

    def _moved(self, value: object) -> object:
        return value.to(self.execution_device) if isinstance(value, torch.Tensor) else value
