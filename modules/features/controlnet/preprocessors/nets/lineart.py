"""Line drawings of photographs: the generator of "Learning to generate line drawings" (Chan et al. 2022, MIT)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net

_RESIDUALS: Final = 3


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU()),
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv_block(x)
        return x + made


class LineGenerator(nn.Module):
    """From [1, 3, height, width] of 0 to 1 to [1, 1, height, width], dark lines on white. Sides are multiples of 4."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        width = shapes["model0.1.weight"][0]
        self.model0 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU())
        self.model1 = nn.Sequential(*self._halving(width), *self._halving(width * 2))
        self.model2 = nn.Sequential(*(_Residual(width * 4) for _ in range(_RESIDUALS)))
        self.model3 = nn.Sequential(*self._doubling(width * 4), *self._doubling(width * 2))
        self.model4 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Sigmoid())

    @staticmethod
    def _halving(width: int) -> tuple[nn.Module, ...]:
        return nn.Conv2d(width, width * 2, 3, stride=2, padding=1), nn.InstanceNorm2d(width * 2), nn.ReLU()

    @staticmethod
    def _doubling(width: int) -> tuple[nn.Module, ...]:
        grown = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
        return grown, nn.InstanceNorm2d(width // 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.model0, self.model1, self.model2, self.model3, self.model4):
            x = part(x)
        return x


def load_lineart(path: Path, device: torch.device) -> LineGenerator:
    """sk_model.pth, or the coarser sk_model2.pth. Raises ModelFileError."""
    return load_net(path, LineGenerator, device)


@torch.inference_mode()
def lineart(net: LineGenerator, picture: RgbArray) -> Grey:
    """White lines on black, [height, width]."""
    return 255 - cut_to_bytes(as_plane(net(as_batch(picture, device_of(net)) / 255)) * 255)
