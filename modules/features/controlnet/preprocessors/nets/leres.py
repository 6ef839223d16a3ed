"""LeRES (Yin et al. 2021): relative depth by a ResNeXt-101 and a decoder, as controlnet_aux (Apache-2.0) runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.depth_anything import stretched
from modules.features.controlnet.preprocessors.nets.loading import as_batch, device_of, load_net

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
_ENCODER: Final = "encoder_modules.encoder"
_DECODER: Final = "decoder_modules"
_STAGES: Final = 4


class _ResNextBlock(nn.Module):
    def __init__(self, shapes: Shapes, name: str, stride: int) -> None:
        super().__init__()
        inside, before = shapes[f"{name}.conv1.weight"][:2]
        width, each = shapes[f"{name}.conv3.weight"][0], shapes[f"{name}.conv2.weight"][1]
        self.conv1, self.bn1 = nn.Conv2d(before, inside, 1, bias=False), nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, padding=1, groups=inside // each, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3, self.bn3 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
        self.changes = f"{name}.downsample.0.weight" in shapes
        if self.changes:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        made = functional.relu(self.bn1(self.conv1(x)))
        made = functional.relu(self.bn2(self.conv2(made)))
        made = self.bn3(self.conv3(made))
        return functional.relu(made + (self.downsample(x) if self.changes else x))


class _ResNext(nn.Module):
    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        width = shapes[f"{_ENCODER}.conv1.weight"][0]
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False), nn.BatchNorm2d(width)
        for number in range(1, _STAGES + 1):
            names = [f"{_ENCODER}.layer{number}.{index}" for index in range(64)]
            found = [name for name in names if f"{name}.conv1.weight" in shapes]
            strides = [1 if index or number == 1 else 2 for index in range(len(found))]
            blocks = (_ResNextBlock(shapes, name, stride) for name, stride in zip(found, strides, strict=True))
            setattr(self, f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        seen = []
        for number in range(1, _STAGES + 1):
            x = getattr(self, f"layer{number}")(x)
            seen.append(x)
        return seen


class _LeresEncoder(nn.Module):
    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.encoder = _ResNext(shapes)


class _LeresTransfer(nn.Module):
    """Features of a stage made ready for the decoder."""

    def __init__(self, shapes: Shapes, name: str) -> None:
        super().__init__()
        width, before = shapes[f"{name}.conv1.weight"][:2]
        self.conv1 = nn.Conv2d(before, width, 3, padding=1)
        self.conv_branch = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width),
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        # The authors' branch begins with a ReLU in place, which changes what is added to it too.
        x = functional.relu(self.conv1(x))
        return functional.relu(x + self.conv_branch(x))


class _LeresFusion(nn.Module):
    def __init__(self, shapes: Shapes, name: str) -> None:
        super().__init__()
        self.ftb1, self.ftb2 = _LeresTransfer(shapes, f"{name}.ftb1"), _LeresTransfer(shapes, f"{name}.ftb2")

    def forward(self, finer: Tensor, coarser: Tensor) -> Tensor:
        return _doubled(self.ftb2(self.ftb1(finer) + coarser))


class _LeresOutput(nn.Module):
    def __init__(self, shapes: Shapes, name: str) -> None:
        super().__init__()
        inside, before = shapes[f"{name}.adapt_conv.0.weight"][:2]
        self.adapt_conv = nn.Sequential(
            nn.Conv2d(before, inside, 3, padding=1), nn.BatchNorm2d(inside), nn.ReLU(),
            nn.Conv2d(inside, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return _doubled(self.adapt_conv(x))


class _LeresDecoder(nn.Module):
    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.conv = _LeresTransfer(shapes, f"{_DECODER}.conv")
        width, before = shapes[f"{_DECODER}.conv1.weight"][:2]
        self.conv1 = nn.Conv2d(before, width, 3, padding=1)
        self.ffm2, self.ffm1, self.ffm0 = (_LeresFusion(shapes, f"{_DECODER}.ffm{number}") for number in (2, 1, 0))
        self.outconv = _LeresOutput(shapes, f"{_DECODER}.outconv")

    def forward(self, seen: list[Tensor]) -> Tensor:
        x = _doubled(self.conv1(self.conv(seen[3])))
        for fusion, finer in ((self.ffm2, seen[2]), (self.ffm1, seen[1]), (self.ffm0, seen[0])):
            x = fusion(finer, x)
        made: Tensor = self.outconv(x)
        return made


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class Leres(nn.Module):
    """From [1, 3, height, width] to depth [1, 1, height, width] of any range. Sides are multiples of 32."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.encoder_modules, self.decoder_modules = _LeresEncoder(shapes), _LeresDecoder(shapes)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.decoder_modules(self.encoder_modules.encoder(x))
        return made


def load_leres(path: Path, device: torch.device) -> Leres:
    """res101.pth. Raises ModelFileError."""
    return load_net(path, Leres, device, prefix="depth_model.")


@torch.inference_mode()
def leres_depth(net: Leres, picture: RgbArray, near: float, background: float) -> Grey:
    """How near everything is, [height, width], the nearest white.

    What is nearer than `near` percent of the whole depth becomes white, what is in the last `background` percent black.
    """
    device = device_of(net)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _STD))
    # Numbers of 0 to 255 and blue first, which the weights were published to be run with.
    far = stretched(net((as_batch(picture[:, :, ::-1], device) - mean) / std)).astype(np.float32)
    if near:
        far[far <= near * 2.55] = 0
    depth = 255 - far
    if background:
        depth[depth <= background * 2.55] = 0
    return cut_to_bytes(depth)
