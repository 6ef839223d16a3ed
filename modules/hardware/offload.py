"""Moves a model's parts between main memory and the device, in the way that the memory mode says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from torch import nn
from torch.utils.hooks import RemovableHandle

from modules.hardware.budget import MemoryMode
from modules.hardware.device import module_bytes
from modules.hardware.model_size import pieces
from modules.hardware.pinned_weights import PinnedWeights, pin, unpin
from modules.hardware.streaming import WeightStream
from modules.hardware.streams import streams_for


class Offloader:
    """Decides where a model's UNet and its other parts lie; nothing else may move them.

    "full" has all of them on the device. "medvram" onloads the part that is called and offloads the one before.
    "lowvram" does so with the others and streams the UNet, of which `resident` bytes stay on the device. Others that
    are made of pieces, as language models are, are streamed too, and what is no piece of them is onloaded.
    """

    def __init__(self, device: torch.device, unet: nn.Module, others: Sequence[nn.Module]) -> None:
        self._device = device
        self._unet = unet
        self._others = tuple(others)
        self._offloaded: dict[nn.Module, PinnedWeights] = {}
        self._onloaded: nn.Module | None = None
        self._resident: list[PinnedWeights] = []
        self._streams: list[WeightStream] = []
        self._hooks: list[RemovableHandle] = []
        self._pinned: list[int] = []

    def apply(self, mode: MemoryMode, resident: int = 0) -> None:
        """Put every part where `mode` has it, from wherever it is now."""
        self.close()
        if mode == "full":
            for part in (self._unet, *self._others):
                part.to(self._device)
            return
        for part in (self._unet, *self._others):
            if any(tensor.device.type != "cpu" for tensor in part.parameters()):
                part.to("cpu")
        if self._device.type == "cuda":
            self._pinned = pin([tensor for part in (self._unet, *self._others) for tensor in part.parameters()])
        offloaded = self._others if mode == "lowvram" else (self._unet, *self._others)
        for part in offloaded:
            streamed = list(pieces(part)) if mode == "lowvram" else []
            self._offloaded[part] = _weights_outside(part, streamed) if streamed else PinnedWeights.of(part)
            add_hook_to_module(part, _OnloadHook(self, part, self._device))
            if streamed:
                self._streams.append(WeightStream(part, streamed, self._device, streams_for(self._device)))
        if mode == "lowvram":
            self._stream_unet(resident)

    def onload(self, part: nn.Module) -> None:
        """Move `part` to the device, after the part that was there is offloaded."""
        if self._onloaded is part:
            return
        self.offload()
        self._offloaded[part].to_device(self._device)
        self._onloaded = part

    def offload(self) -> None:
        """Move the onloaded part, if there is one, back to main memory."""
        if self._onloaded is not None:
            self._offloaded[self._onloaded].write_back()
            self._onloaded = None
            if self._device.type == "cuda":
                # The copies in main memory may be read from now on. Once a phase of a job, never in a step.
                torch.cuda.current_stream(self._device).synchronize()

    def close(self) -> None:
        """Remove all hooks and slots; parts that were offloaded or streamed are whole in main memory again."""
        self.offload()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        for stream in self._streams:
            stream.close()
        self._streams.clear()
        for weights in self._resident:
            weights.write_back()
        self._resident.clear()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        for part in self._offloaded:
            remove_hook_from_module(part)
        self._offloaded.clear()
        unpin(self._pinned)
        self._pinned.clear()

    def _stream_unet(self, resident: int) -> None:
        streamed, resident_pieces = _split(list(pieces(self._unet)), resident)
        self._resident = [PinnedWeights.of(piece) for piece in resident_pieces]
        self._resident.append(_weights_outside(self._unet, [*streamed, *resident_pieces]))
        for weights in self._resident:
            weights.to_device(self._device)
        self._hooks.append(self._unet.register_forward_pre_hook(lambda _module, _inputs: self.offload()))
        if streamed:
            self._streams.append(WeightStream(self._unet, streamed, self._device, streams_for(self._device)))


def _weights_outside(whole: nn.Module, inside: Sequence[nn.Module]) -> PinnedWeights:
    """What `whole` has beside these parts of it."""
    parts = {id(tensor) for part in inside for tensor in (*part.parameters(), *part.buffers())}
    rest = [tensor for tensor in (*whole.parameters(), *whole.buffers()) if id(tensor) not in parts]
    return PinnedWeights(tuple(rest), tuple(tensor.data for tensor in rest))


def _split(parts: list[nn.Module], resident: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """(streamed, resident pieces): about `resident` bytes stay on the device, spread evenly so that copies never
    pile up.
    """
    sizes = [module_bytes(part) for part in parts]
    share = resident / max(1, sum(sizes))
    streamed, resident_pieces = [], []
    total = resident_bytes = 0
    for part, size in zip(parts, sizes, strict=True):
        total += size
        if resident_bytes + size <= min(total * share, resident):
            resident_pieces.append(part)
            resident_bytes += size
        else:
            streamed.append(part)
    return streamed, resident_pieces


class _OnloadHook(ModelHook):
    """Onloads a part before it computes, and moves its inputs. diffusers also calls it for `encode` and `decode`."""

    def __init__(self, offloader: Offloader, part: nn.Module, device: torch.device) -> None:
        self._offloader = offloader
        self._part = part
        self.execution_device = device

    def pre_forward(
        self, module: nn.Module, *args: object, **kwargs: object
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        self._offloader.onload(self._part)
        return tuple(map(self._moved, args)), {key: self._moved(value) for key, value in kwargs.items()}

    def _moved(self, value: object) -> object:
        return value.to(self.execution_device) if isinstance(value, torch.Tensor) else value
