"""A card that is only pretended: tensors on it have shape, type and device, and whatever waits for it is written down.

PyTorch's meta device stands for it, since a build without CUDA lets nobody touch another. Scalars on the CPU are real.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from modules.hardware.streams import SingleStream

CARD: Final = torch.device("meta")

aten: Any = torch.ops.aten
# A number or a decision for Python.
READ: Final = {aten._local_scalar_dense.default, aten.item.default, aten.is_nonzero.default, aten.equal.default,
               aten.allclose.default}  # fmt: skip
# A shape that depends on values.
SHAPED: Final = {aten.nonzero.default, aten.masked_select.default, aten._unique2.default, aten.unique_dim.default,
                 aten.repeat_interleave.Tensor}  # fmt: skip
# Copies that may go from one device to another; in inference mode `to` is not taken apart.
MOVED: Final = {aten._to_copy.default, *(getattr(aten.to, name) for name in aten.to.overloads())}
INDEXED: Final = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}


class _Made(TorchFunctionMode):
    """Notes tensors that are made of numbers for Python: a real card is sent them by a copy, the meta device is not."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor, torch.asarray) and _is_card(kwargs.get("device")):
            self._waits.append(func.__name__)
        return func(*args, **kwargs)


class PretendCard(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its modes untyped
    """While open, notes in `waits` what made the processor wait for the card. What is read there is 1, or true."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # unannotated in torch
        self.waits: list[str] = []
        self._made = _Made(self.waits)

    def __enter__(self) -> Self:
        self._made.__enter__()  # type: ignore[no-untyped-call]  # unannotated in torch
        super().__enter__()  # type: ignore[no-untyped-call]  # unannotated in torch
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # unannotated in torch
        self._made.__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # unannotated in torch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not any(one.is_meta for one in given) and not _is_card(_target(args, kwargs)):
            return func(*args, **kwargs)
        if waits(func, given, args, kwargs):
            self.waits.append("read" if func in READ else "copy" if func in MOVED else str(func))
            if func in READ:
                return 1
            if func in MOVED and given[0].is_meta:
                return torch.zeros(given[0].shape, dtype=kwargs.get("dtype") or given[0].dtype)
        return func(*args, **kwargs)


def waits(func: Any, given: list[Tensor], args: Any, kwargs: Any) -> bool:
    """Whether a real card would make the processor wait in `func`."""
    if func in READ or func in SHAPED:
        return True
    if func in INDEXED:
        # A list of indexes is copied there first; a mask is counted.
        indexes = [one for one in args[1] if one is not None]
        return any(not one.is_meta or one.dtype == torch.bool for one in indexes)
    if func is aten.copy_.default:
        return given[0].is_meta != given[1].is_meta
    # Copies of whatever size, either way. Those that don't wait go through `modules.hardware.streams`.
    target = _target(args, kwargs)
    return func in MOVED and target is not None and _is_card(target) != given[0].is_meta


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """In the place of the `sent` of `modules.hardware.streams`: what a card fetches by itself."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)


class PretendStreams(SingleStream):
    """In the place of the streams that `streams_for` finds: a copy that nobody waits for brings ones."""

    def fetch(self, tensor: Tensor) -> Tensor:
        return torch.ones(tensor.shape, dtype=tensor.dtype)


def _target(args: Any, kwargs: Any) -> Any:
    """The device that an operation is to answer on, by itself or by a tensor that lies there."""
    target = kwargs.get("device", args[1] if len(args) > 1 else None)
    return target.device if isinstance(target, Tensor) else target if isinstance(target, torch.device) else None


def _is_card(device: Any) -> bool:
    return device is not None and torch.device(device) == CARD
