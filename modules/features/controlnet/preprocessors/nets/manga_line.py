"""Lines of drawings without their screentones: Li et al. 2017, "Deep Extraction of Manga Structural Lines".

The layers are those of the authors' erika.pth (MIT).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_plane, device_of, load_net

_EPSILON: Final = 1e-3
_SLOPE: Final = 0.2
# Levels down, and the same number up; their last block goes over to the next level.
_LEVELS: Final = 4
_MOST_BLOCKS: Final = 64


class _Normalised(nn.Module):
    """Norm, activation, convolution, and where it `grows` twice the sides."""

    def __init__(self, shapes: Shapes, name: str, *, stride: int = 1, grows: bool = False) -> None:
        super().__init__()
        out, into, side, _ = shapes[f"{name}.model.2.weight"]
        layers = [
            nn.BatchNorm2d(into, eps=_EPSILON),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(into, out, side, stride, padding=side // 2),
        ]
        self.model = nn.Sequential(*layers, *([nn.Upsample(scale_factor=2)] if grows else []))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.model(x)
        return made


class _Shortcut(nn.Module):
    """What a block adds to: its input, by a convolution where that has other channels or another size."""

    def __init__(self, shapes: Shapes, name: str, *, stride: int, grows: bool) -> None:
        super().__init__()
        out, into = shapes[f"{name}.model.0.weight"][:2]
        layers: list[nn.Module] = [nn.Conv2d(into, out, 1, stride)]
        self.model = nn.Sequential(*layers, *([nn.Upsample(scale_factor=2)] if grows else []))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.model(x)
        return made


class _LineBlock(nn.Module):
    def __init__(self, shapes: Shapes, name: str, *, stride: int = 1, grows: bool = False) -> None:
        super().__init__()
        self.conv1 = _Normalised(shapes, f"{name}.conv1", stride=stride, grows=grows)
        self.residual = _Normalised(shapes, f"{name}.residual")
        self.changes = f"{name}.shortcut.model.0.weight" in shapes
        if self.changes:
            self.shortcut = _Shortcut(shapes, f"{name}.shortcut", stride=stride, grows=grows)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.residual(self.conv1(x))
        return made + (self.shortcut(x) if self.changes else x)


class _LineLevel(nn.Module):
    """The blocks of a level: of one that `shrinks` the last halves the sides, of one that `grows` the first doubles."""

    def __init__(self, shapes: Shapes, name: str, *, shrinks: bool = False, grows: bool = False) -> None:
        super().__init__()
        names = [f"{name}.model.{index}" for index in range(_MOST_BLOCKS)]
        found = [one for one in names if f"{one}.conv1.model.2.weight" in shapes]
        if not found:
            raise KeyError(name)
        blocks = (
            _LineBlock(shapes, one, stride=2 if shrinks and index == len(found) - 1 else 1, grows=grows and index == 0)
            for index, one in enumerate(found)
        )
        self.model = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.model(x)
        return made


class MangaLine(nn.Module):
    """From grey pictures [1, 1, height, width], 0 to 255, to dark lines on white of about that range.

    Sides are multiples of 16.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        for index in range(_LEVELS + 1):
            setattr(self, f"block{index}", _LineLevel(shapes, f"block{index}", shrinks=index > 0))
        for index in range(_LEVELS + 1, 2 * _LEVELS + 1):
            setattr(self, f"block{index}", _LineLevel(shapes, f"block{index}", grows=True))
        last = 2 * _LEVELS + 1
        setattr(self, f"block{last}", _LineLevel(shapes, f"block{last}"))
        self.conv15 = _Normalised(shapes, "conv15")

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for index in range(_LEVELS + 1):
            x = self.get_submodule(f"block{index}")(x)
            seen.append(x)
        for index in range(_LEVELS):
            x = self.get_submodule(f"block{_LEVELS + 1 + index}")(x) + seen[_LEVELS - 1 - index]
        made: Tensor = self.conv15(self.get_submodule(f"block{2 * _LEVELS + 1}")(x))
        return made


def load_manga_line(path: Path, device: torch.device) -> MangaLine:
    """erika.pth. Raises ModelFileError."""
    return load_net(path, MangaLine, device)


@torch.inference_mode()
def manga_lines(net: MangaLine, picture: RgbArray) -> Grey:
    """White lines on black, [height, width]."""
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    return cut_to_bytes(255 - as_plane(net(torch.from_numpy(grey)[None, None].to(device_of(net)))))
