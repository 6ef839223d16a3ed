"""What a network does to one parameter, and how it is done to a layer for the moment in which that computes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modules.weights.networks.updates import WeightUpdate

ChangedPart = Literal["weight", "bias"]
# Where a change comes from: a network's key, its layer, and the parameter that the layer has something for.
ChangeOrigin = tuple[Hashable, str, ChangedPart]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What one network does to one parameter: an update of it, or a vector that is added to a bias."""

    key: Hashable
    layer: str
    part: ChangedPart
    update: WeightUpdate | Tensor
    multiplier: float
    dyn: int | None
    depends_on: tuple[Hashable, ...] = ()
    """The identities of what other parameters hold, where it is made from these too."""

    @property
    def origin(self) -> ChangeOrigin:
        return self.key, self.layer, self.part

    @property
    def identity(self) -> Hashable:
        return self.key, self.layer, self.multiplier, self.dyn, self.depends_on

    def into(self, values: Tensor) -> None:
        """Change `values`, float32. Raises RuntimeError where shapes don't fit."""
        if isinstance(self.update, Tensor):
            values.add_(self.update.to(values.device, torch.float32).view_as(values), alpha=self.multiplier)
        else:
            self.update.merge_into(values, self.multiplier, self.dyn)


class LiveLayer:
    """One layer whose weights are changed for the moment in which it computes."""

    def __init__(self, module: nn.Module, weight: Sequence[Change], bias: Sequence[Change]) -> None:
        self._module = module
        self._weight = weight
        self._bias = bias
        self._plain: dict[ChangedPart, Tensor] = {}

    def hook(self) -> tuple[RemovableHandle, ...]:
        module, enter = self._module, self._enter
        # What enters last leaves first: an 8-bit layer is widened before this, and narrowed after it.
        leave: Callable[..., Tensor | None] = self._leave
        return (
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(leave, prepend=True, always_call=True),
        )

    def _enter(self, module: nn.Module, _inputs: object) -> None:
        parts: tuple[tuple[ChangedPart, Sequence[Change]], ...] = ("weight", self._weight), ("bias", self._bias)
        for part, changes in parts:
            parameter = getattr(module, part)
            if parameter is None or not changes:
                continue
            values = parameter.data.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
            for change in changes:
                change.into(values)
            self._plain[part] = parameter.data
            parameter.data = values.to(parameter.dtype)

    def _leave(self, module: nn.Module, _inputs: object, output: object) -> Tensor | None:
        for part, plain in self._plain.items():
            getattr(module, part).data = plain
        self._plain.clear()
        if module.bias is not None or not self._bias or not isinstance(output, Tensor):
            return None
        added = torch.zeros(output.shape[1] if output.ndim == 4 else output.shape[-1], device=output.device)
        for change in self._bias:
            change.into(added)
        shape = (1, -1, 1, 1) if output.ndim == 4 else (-1,)
        return output + added.to(output.dtype).view(shape)
