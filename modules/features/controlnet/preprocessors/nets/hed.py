"""Holistically-nested edge detection (Xie and Tu 2015), trained anew by lllyasviel for ControlNet 1.1 (Apache-2.0)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Floats, RgbArray
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net

_BLOCKS: Final = 5


class _HedBlock(nn.Module):
    """Convolutions of one size of picture, and what they say of edges there."""

    def __init__(self, before: int, width: int, count: int) -> None:
        super().__init__()
        widths = [before, *[width] * count]
        self.convs = nn.ModuleList(nn.Conv2d(one, other, 3, padding=1) for one, other in pairwise(widths))
        self.projection = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for conv in self.convs:
            x = functional.relu(conv(x))
        return x, self.projection(x)


class Hed(nn.Module):
    """From [1, 3, height, width] of 0 to 255 to a plane of edges for each of five sizes, halved each time."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.empty(1, 3, 1, 1))
        before = 3
        for number in range(1, _BLOCKS + 1):
            width = shapes[f"block{number}.projection.weight"][1]
            count = sum(f"block{number}.convs.{index}.weight" in shapes for index in range(len(shapes)))
            setattr(self, f"block{number}", _HedBlock(before, width, count))
            before = width

    def forward(self, x: Tensor) -> list[Tensor]:
        x = x - self.norm
        edges = []
        for number in range(1, _BLOCKS + 1):
            if number > 1:
                x = functional.max_pool2d(x, 2, 2)
            x, edge = getattr(self, f"block{number}")(x)
            edges.append(edge)
        return edges


def load_hed(path: Path, device: torch.device) -> Hed:
    """ControlNetHED.pth. Raises ModelFileError."""
    return load_net(path, Hed, device)


@torch.inference_mode()
def hed_edges(net: Hed, picture: RgbArray) -> Floats:
    """Soft edges, [height, width], 0 to 1."""
    height, width = picture.shape[:2]
    planes = [
        cv2.resize(as_plane(edge), (width, height), interpolation=cv2.INTER_LINEAR)
        for edge in net(as_batch(picture, device_of(net)))
    ]
    return sigmoid(np.mean(planes, axis=0))


def sigmoid(values: np.ndarray) -> Floats:
    """1 / (1 + exp(-values)), where exp can't overflow."""
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64).clip(-80, 80))), dtype=np.float32)
