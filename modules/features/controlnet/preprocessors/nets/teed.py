"""TEED, a tiny and efficient edge detector (Soria et al. 2023, MIT), run as controlnet_aux (Apache-2.0) does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.features.controlnet.arrays import Floats, RgbArray
from modules.features.controlnet.preprocessors.nets.hed import sigmoid
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net


def _smish(x: Tensor) -> Tensor:
    return x * torch.tanh(torch.log1p(torch.sigmoid(x)))


class _Smish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _smish(x)


class _Double(nn.Module):
    def __init__(self, before: int, width: int, stride: int, *, last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv2(_smish(self.conv1(x)))
        return _smish(made) if self.last else made


class _Side(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return made


class _Dense(nn.Module):
    """One dense layer under the name that the file has for it."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.denselayer1 = nn.Sequential()
        self.denselayer1.add_module("conv1", nn.Conv2d(before, width, 3, padding=2))
        self.denselayer1.add_module("smish1", _Smish())
        self.denselayer1.add_module("conv2", nn.Conv2d(width, width, 3))

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        made: Tensor = self.denselayer1(_smish(x))
        return 0.5 * (made + beside)


class _Up(nn.Module):
    """Doubled as often as it takes to reach the picture's size again, to one plane."""

    def __init__(self, before: int, times: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        side, padding = 2**times, (0, 0, 1)[times]
        for index in range(times):
            width = 1 if index == times - 1 else 16
            parts += [nn.Conv2d(before, width, 1), _Smish(), nn.ConvTranspose2d(width, width, side, 2, padding)]
            before = width
        self.features = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.features(x)
        return made


class _Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.DWconv1 = nn.Conv2d(3, 24, 3, padding=1, groups=3)
        self.DWconv2 = nn.Conv2d(24, 24, 3, padding=1, groups=24)

    def forward(self, x: Tensor) -> Tensor:
        first = self.DWconv1(_smish(x))
        second = self.DWconv2(_smish(first))
        return _smish((first + second).sum(dim=1, keepdim=True))


class Teed(nn.Module):
    """From [1, 3, height, width] of 0 to 255 to four planes of edges of that size. Sides are multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.block_1 = _Double(3, 16, 2, last=True)
        self.block_2 = _Double(16, 32, 1, last=False)
        self.dblock_3 = _Dense(32, 48)
        self.side_1, self.pre_dense_3 = _Side(16, 32, 2), _Side(32, 48, 1)
        self.up_block_1, self.up_block_2, self.up_block_3 = _Up(16, 1), _Up(32, 1), _Up(48, 2)
        self.block_cat = _Fusion()

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.block_1(x)
        second = self.block_2(first)
        halved = functional.max_pool2d(second, 3, 2, 1)
        third = self.dblock_3(halved + self.side_1(first), self.pre_dense_3(halved))
        planes = [self.up_block_1(first), self.up_block_2(second), self.up_block_3(third)]
        return [*planes, self.block_cat(torch.cat(planes, dim=1))]


def load_teed(path: Path, device: torch.device) -> Teed:
    """7_model.pth. Raises ModelFileError."""
    return load_net(path, lambda _shapes: Teed(), device)


@torch.inference_mode()
def teed_edges(net: Teed, picture: RgbArray) -> Floats:
    """Soft edges, [height, width], 0 to 1."""
    size = picture.shape[1], picture.shape[0]
    planes = [cv2.resize(as_plane(one), size) for one in net(as_batch(picture, device_of(net)))]
    return sigmoid(np.mean(planes, axis=0))
