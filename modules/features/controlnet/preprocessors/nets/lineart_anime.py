"""Line drawings of anime pictures: a U-Net of pix2pix (Isola et al. 2017, BSD) in the weights of ControlNet 1.1."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net

# Halved eight times.
_MULTIPLE: Final = 256
# The widths of the levels from the outermost to the innermost, as multiples of the first.
_WIDTHS: Final = (1, 2, 4, 8, 8, 8, 8, 8)


class _Level(nn.Module):
    """One level and, in its middle, all those within it."""

    def __init__(self, level: int, width: int) -> None:
        super().__init__()
        self.outermost = level == 0
        inner = width * _WIDTHS[level]
        innermost = level == len(_WIDTHS) - 1
        outer = width * _WIDTHS[level - 1] if level else 3
        parts: list[nn.Module] = [] if self.outermost else [nn.LeakyReLU(0.2)]
        parts.append(nn.Conv2d(outer, inner, 4, stride=2, padding=1))
        if not innermost:
            if not self.outermost:
                parts.append(nn.InstanceNorm2d(inner))
            parts.append(_Level(level + 1, width))
        made = outer if level else 1
        parts += [nn.ReLU(), nn.ConvTranspose2d(inner if innermost else inner * 2, made, 4, stride=2, padding=1)]
        parts.append(nn.Tanh() if self.outermost else nn.InstanceNorm2d(made))
        self.model = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.model(x)
        return made if self.outermost else torch.cat([x, made], dim=1)


class AnimeLines(nn.Module):
    """From [1, 3, height, width] of -1 to 1 to [1, 1, height, width], dark lines on white. Sides: multiples of 256."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.model = _Level(0, shapes["model.model.0.weight"][0])

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.model(x)
        return made


def load_lineart_anime(path: Path, device: torch.device) -> AnimeLines:
    """netG.pth. Raises ModelFileError."""
    return load_net(path, AnimeLines, device)


@torch.inference_mode()
def lineart_anime(net: AnimeLines, picture: RgbArray) -> Grey:
    """White lines on black, [height, width]."""
    height, width = picture.shape[:2]
    size = math.ceil(width / _MULTIPLE) * _MULTIPLE, math.ceil(height / _MULTIPLE) * _MULTIPLE
    grown = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    lines = as_plane(net(as_batch(grown, device_of(net)) / 127.5 - 1)) * 127.5 + 127.5
    back = np.asarray(cv2.resize(lines, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    return 255 - cut_to_bytes(back)
