"""Hypernetworks at work: they change what each attention of a UNet makes its keys and values of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.hardware.compiling import run_plain
from modules.weights.networks.hypernetwork import Hypernetwork


@dataclass(frozen=True, slots=True, eq=False)
class AppliedHypernetwork:
    """A hypernetwork with its multiplier."""

    hypernetwork: Hypernetwork
    multiplier: float = 1.0


@contextmanager
def attention_inputs_changed(
    unet: UNet2DConditionModel, applied: Sequence[AppliedHypernetwork], device: torch.device
) -> Iterator[None]:
    """While open, y = x + multiplier · net(x) is what each attention projects to keys and to values instead of x.

    Several act one after the other. Which pair of nets acts is chosen by the width of x: that of the text in cross
    attention, that of the level in self attention. Behaviour reproduced: A1111 v1.10.1.
    """
    acting = [one for one in applied if one.multiplier != 0]
    if not acting:
        yield
        return
    pairs = [_Pairs(one, device, unet.dtype) for one in acting]
    with ExitStack() as stack:
        # Compiled code would not see the hooks.
        stack.enter_context(run_plain(unet.modules()))
        for attention in (module for module in unet.modules() if isinstance(module, Attention)):
            for place, projection in enumerate((attention.to_k, attention.to_v)):
                handle = projection.register_forward_pre_hook(_changing(pairs, place))
                stack.callback(handle.remove)
        yield


class _Pairs:
    """A hypernetwork's nets where they are needed and in the type of what they change."""

    def __init__(self, applied: AppliedHypernetwork, device: torch.device, dtype: torch.dtype) -> None:
        self._multiplier = applied.multiplier
        self._nets: dict[int, tuple[nn.Module, ...]] = {
            width: tuple(copy.deepcopy(net).to(device, dtype) for net in nets)
            for width, nets in applied.hypernetwork.nets.items()
        }

    def changed(self, x: Tensor, place: int) -> Tensor:
        nets = self._nets.get(x.shape[-1])
        return x if nets is None else x + self._multiplier * nets[place](x)


def _changing(pairs: Sequence[_Pairs], place: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def change(_projection: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, *rest = inputs
        for one in pairs:
            x = one.changed(x, place)
        return x, *rest

    return change
