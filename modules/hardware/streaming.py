"""Streaming a UNet's weights: while one piece computes, the weights of the next one are copied to the device.

diffusers' group offloading streams whole levels: of SDXL's UNet up to 2.2 GB at once, with the middle block moved in
the open at each step, and the processor waits for the device after each level. Here two slots as large as the largest
piece (95 MB in 16 bits) take turns; all waiting happens on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modules.hardware.budget import STREAM_SLOTS
from modules.hardware.pinned_weights import PinnedWeights
from modules.hardware.streams import StreamEvent, Streams


@dataclass(slots=True, eq=False)
class _Slot:
    """A buffer on the device, the piece whose weights it holds, and the event from which on it may be overwritten."""

    place: Tensor
    holder: _Piece | None = None
    free: StreamEvent = None


@dataclass(slots=True, eq=False)
class _Piece:
    """One streamed module. `following` is the piece that was called after it last time."""

    weights: PinnedWeights
    slot: _Slot | None = None
    arrived: StreamEvent = None
    following: _Piece | None = None
    views: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)

    def views_in(self, slot: _Slot) -> tuple[Tensor, ...]:
        return self.views.setdefault(id(slot), self.weights.views_in(slot.place))


class WeightStream:
    """Streams `modules`, the parts of `whole`, from main memory through slots on `device` as they are called.

    The order is learnt from the calls themselves; a piece that is called out of order is copied then. Nothing is
    fetched from one forward of `whole` to the next: the weights may be changed in between.
    """

    def __init__(self, whole: nn.Module, modules: Iterable[nn.Module], device: torch.device, streams: Streams) -> None:
        self._streams = streams
        modules = tuple(modules)
        pieces = [_Piece(PinnedWeights.of(module)) for module in modules]
        largest = max(piece.weights.size for piece in pieces)
        self._slots = [_Slot(torch.empty(largest, dtype=torch.uint8, device=device)) for _ in range(STREAM_SLOTS)]
        self._last: _Piece | None = None
        self._hooks: list[RemovableHandle] = [whole.register_forward_pre_hook(self._begin)]
        for module, piece in zip(modules, pieces, strict=True):
            self._hooks.append(module.register_forward_pre_hook(self._entering(piece)))
            self._hooks.append(module.register_forward_hook(self._leaving(piece), always_call=True))

    @property
    def bytes_on_device(self) -> int:
        return sum(slot.place.numel() for slot in self._slots)

    def close(self) -> None:
        """Free the slots and remove the hooks; the modules are whole in main memory."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._slots.clear()
        self._last = None

    def _begin(self, _module: nn.Module, _inputs: object) -> None:
        self._last = None
        for slot in self._slots:
            if slot.holder is not None:
                slot.holder.slot = None
                slot.holder = None

    def _entering(self, piece: _Piece) -> Callable[..., None]:
        def enter(_module: nn.Module, _inputs: object) -> None:
            if self._last is not None:
                self._last.following = piece
            self._last = piece
            if piece.slot is None:
                self._fetch(piece)
            slot = piece.slot
            assert slot is not None
            self._streams.wait(piece.arrived)
            piece.weights.set_data(piece.views_in(slot))
            following = piece.following
            if following is not None and following is not piece and following.slot is None:
                self._fetch(following, not_into=slot)

        return enter

    def _leaving(self, piece: _Piece) -> Callable[..., None]:
        def leave(_module: nn.Module, _inputs: object, _output: object) -> None:
            piece.weights.restore()
            if piece.slot is not None:
                piece.slot.free = self._streams.current_event()
                piece.slot.holder = None
                piece.slot = None

        return leave

    def _fetch(self, piece: _Piece, not_into: _Slot | None = None) -> None:
        """Begin to copy `piece` into a slot other than `not_into`, if possible one that no fetched piece waits in."""
        slot = min((slot for slot in self._slots if slot is not not_into), key=lambda slot: slot.holder is not None)
        if slot.holder is not None:
            slot.holder.slot = None
        slot.holder, piece.slot = piece, slot
        with self._streams.side_stream(after=slot.free):
            for view, data in zip(piece.views_in(slot), piece.weights.in_main_memory, strict=True):
                view.copy_(data, non_blocking=True)
        piece.arrived = self._streams.side_event()
