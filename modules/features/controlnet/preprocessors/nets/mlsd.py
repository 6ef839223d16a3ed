"""Straight lines: M-LSD large (Gu et al. 2022, Apache-2.0) on MobileNetV2, in the weights of lihaoweicv's port."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.features.controlnet.arrays import Grey, RgbArray
from modules.features.controlnet.preprocessors.nets.loading import as_batch, device_of, load_net

# Of each stage: how much wider it is inside, its width, its blocks, its first stride.
_STAGES: Final = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
_LOOKED_AT: Final = (1, 3, 6, 10, 13)
_WIDTH: Final = 64
# The last channels are the ones that matter: a line's middle, and where from there its ends are.
_FIRST: Final = 7
_MOST: Final = 200


class _ConvNorm(nn.Sequential):
    """A convolution of MobileNetV2 that pads as TFLite does."""

    def __init__(self, before: int, width: int, side: int, stride: int = 1, groups: int = 1) -> None:
        padding = 0 if stride == 2 else side // 2
        super().__init__(
            nn.Conv2d(before, width, side, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
        )
        self._pads = stride == 2

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (0, 1, 0, 1)) if self._pads else x
        for part in self:
            x = part(x)
        return x


class _Inverted(nn.Module):
    """MobileNetV2's inverted residual."""

    def __init__(self, before: int, width: int, stride: int, wider: int) -> None:
        super().__init__()
        inside = before * wider
        self.residual = stride == 1 and before == width
        self.conv = nn.Sequential(
            *([_ConvNorm(before, inside, 1)] if wider > 1 else []),
            _ConvNorm(inside, inside, 3, stride, groups=inside),
            nn.Conv2d(inside, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return x + made if self.residual else made


class _Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = [_ConvNorm(4, 32, 3, 2)]
        before = 32
        for wider, width, count, stride in _STAGES:
            for index in range(count):
                parts.append(_Inverted(before, width, 1 if index else stride, wider))
                before = width
        self.features = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for index, part in enumerate(self.features):
            x = part(x)
            if index in _LOOKED_AT:
                found.append(x)
        return found


def _conv(before: int, width: int, side: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (side // 2)
    return nn.Sequential(
        nn.Conv2d(before, width, side, padding=padding, dilation=dilation), nn.BatchNorm2d(width), nn.ReLU()
    )


class _Join(nn.Module):
    """A finer stage beside what came out of the coarser ones."""

    def __init__(self, finer: int, coarser: int, *, grows: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(coarser, _WIDTH, 1), _conv(finer, _WIDTH, 1)
        self.grows = grows

    def forward(self, finer: Tensor, coarser: Tensor) -> Tensor:
        up = self.conv1(coarser)
        if self.grows:
            up = functional.interpolate(up, scale_factor=2.0, mode="bilinear", align_corners=True)
        return torch.cat([self.conv2(finer), up], dim=1)


class _Narrow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(2 * _WIDTH, 2 * _WIDTH, 3), _conv(2 * _WIDTH, _WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv2(self.conv1(x) + x)
        return made


class _LineHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(_WIDTH, _WIDTH, 3, dilation=5), _conv(_WIDTH, _WIDTH, 3)
        self.conv3 = nn.Conv2d(_WIDTH, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv3(self.conv2(self.conv1(x)))
        return made


class Mlsd(nn.Module):
    """From [1, 4, height, width] of -1 to 1 to [1, 9, height / 2, width / 2]. Sides are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone()
        self.block15, self.block16 = _Join(64, 96, grows=False), _Narrow()
        self.block17, self.block18 = _Join(32, _WIDTH, grows=True), _Narrow()
        self.block19, self.block20 = _Join(24, _WIDTH, grows=True), _Narrow()
        self.block21, self.block22 = _Join(16, _WIDTH, grows=True), _Narrow()
        self.block23 = _LineHead()

    def forward(self, x: Tensor) -> Tensor:
        c1, c2, c3, c4, c5 = self.backbone(x)
        x = self.block16(self.block15(c4, c5))
        x = self.block18(self.block17(c3, x))
        x = self.block20(self.block19(c2, x))
        x = self.block22(self.block21(c1, x))
        made: Tensor = self.block23(x)
        return made[:, _FIRST:]


def load_mlsd(path: Path, device: torch.device) -> Mlsd:
    """mlsd_large_512_fp32.pth. Raises ModelFileError."""
    return load_net(path, lambda _shapes: Mlsd(), device)


@torch.inference_mode()
def mlsd(net: Mlsd, picture: RgbArray, score: float, distance: float) -> Grey:
    """White lines on black, [height, width]: those surer than `score` and, at half size, longer than `distance`."""
    pixels = as_batch(picture, device_of(net))
    answer = net(torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=1) / 127.5 - 1)[0].float()
    drawn = np.zeros(picture.shape[:2], dtype=np.uint8)
    for start, end in segments(answer, score, distance):
        cv2.line(drawn, start, end, 255, 1)
    return drawn


def segments(answer: Tensor, score: float, distance: float) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Both ends of each line, (x, y), of an answer [9, height / 2, width / 2]."""
    heat = answer[0].sigmoid()
    # Only the surest of three by three neighbours.
    heat = heat * (functional.max_pool2d(heat[None, None], 3, 1, 1)[0, 0] == heat)
    surest, places = heat.flatten().topk(min(_MOST, heat.numel()))
    offsets = answer[1:5].flatten(1)[:, places].cpu().numpy()
    lengths = np.hypot(offsets[0] - offsets[2], offsets[1] - offsets[3])
    width = heat.shape[1]
    middles = np.stack([(places % width).cpu().numpy(), (places // width).cpu().numpy()])
    ends = 2 * np.concatenate([middles + offsets[:2], middles + offsets[2:]])
    chosen = (surest.cpu().numpy() > score) & (lengths > distance) & np.isfinite(ends).all(axis=0)
    far = 1 << 15
    corners = ends[:, chosen].clip(-far, far).astype(int).T
    return [((int(x1), int(y1)), (int(x2), int(y2))) for x1, y1, x2, y2 in corners]
