"""Weights stored in 8 bits and computed with in the model's own type: half the memory, at some loss.

What A1111's option "FP8 weight" does: the weights of linear layers and convolutions are stored as float8_e4m3fn and
widened for the moment in which a layer computes. Biases, norms, and the first and last layers keep their type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

STORED: Final = torch.float8_e4m3fn
# The layers through which everything passes once, and the times: tiny, and what is lost in them is lost everywhere.
_UNCHANGED: Final = (
    *("conv_in", "conv_out", "time_embedding", "add_embedding"),
    *("t_embedder", "cap_embedder", "all_x_embedder", "all_final_layer"),
)


def store_in_8_bits(unet: nn.Module) -> int:
    """Store `unet`'s weights in 8 bits from now on; returns how many bytes that saves."""
    saved = 0
    for name, module in unet.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d) or name.startswith(_UNCHANGED):
            continue
        weight = module.weight
        dtype = weight.dtype
        saved += weight.numel() * (weight.element_size() - STORED.itemsize)
        layout = torch.channels_last if _is_channels_last(weight) else torch.preserve_format
        weight.data = weight.data.clamp(-_LARGEST, _LARGEST).to(STORED, memory_format=layout)
        _Widening(weight, dtype).hook(module)
    return saved


_LARGEST: Final = torch.finfo(STORED).max


def _is_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)


class _Widening:
    """Hooks that widen a layer's weight before its forward and put the stored one back after it."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self._weight = weight
        self._dtype = dtype
        self._stored: Tensor | None = None

    def hook(self, module: nn.Module) -> None:
        module.register_forward_pre_hook(self._widen)
        narrow: Callable[..., None] = self._narrow
        module.register_forward_hook(narrow, always_call=True)

    def _widen(self, _module: nn.Module, _inputs: object) -> None:
        self._stored = self._weight.data
        self._weight.data = self._stored.to(self._dtype)

    def _narrow(self, _module: nn.Module, _inputs: object, _output: object) -> None:
        if self._stored is not None:
            self._weight.data = self._stored
            self._stored = None
