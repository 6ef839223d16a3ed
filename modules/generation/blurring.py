"""Gaussian blur of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_blurred(x: Tensor, taps: int, sigma: float) -> Tensor:
    """`x` (rows, channels, height, width) blurred by a Gaussian of `sigma` cells, cut off at an odd number of `taps`.

    Edges are mirrored; where the picture is too small for that many taps there are fewer. At sigma 0 it is `x`.
    """
    if sigma <= 0:
        return x
    for dim in (2, 3):
        reach = min(taps // 2, x.shape[dim] - 1)
        places = torch.arange(-reach, reach + 1, device=x.device, dtype=torch.float32)
        weights = torch.exp(-0.5 * (places / sigma) ** 2)
        kernel = (weights / weights.sum()).to(x.dtype)
        padding = (0, 0, reach, reach) if dim == 2 else (reach, reach, 0, 0)
        shape = (1, 1, -1, 1) if dim == 2 else (1, 1, 1, -1)
        channels = x.shape[1]
        padded = functional.pad(x, padding, mode="reflect")
        x = functional.conv2d(padded, kernel.view(shape).expand(channels, -1, -1, -1), groups=channels)
    return x
