"""Pixel difference networks (Su et al. 2021): soft edges by convolutions over differences of pixels.

The differences are folded into ordinary kernels when the file is read, as the authors describe it; the structure is
that of their table 5, "carv4", with dilation and attention, as controlnet_aux (Apache-2.0) runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Floats, RgbArray
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net

_BLOCKS: Final = (3, 4, 4, 4)
# Which difference each of the sixteen convolutions takes: central, angular, radial, none.
_KINDS: Final = "carv" * 4
_DILATIONS: Final = (5, 7, 9, 11)
# The neighbour before each of the nine places, clockwise.
_BEFORE: Final = (3, 0, 1, 6, 4, 2, 7, 8, 5)
# Of a kernel of five by five, where the eight outer and the eight inner places of radial differences lie.
_OUTER: Final = (0, 2, 4, 10, 14, 20, 22, 24)
_INNER: Final = (6, 7, 8, 11, 13, 16, 17, 18)


class _PixelBlock(nn.Module):
    def __init__(self, before: int, width: int, side: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        if halves:
            self.shortcut = nn.Conv2d(before, width, 1)
        self.conv1 = nn.Conv2d(before, before, side, padding=side // 2, groups=before, bias=False)
        self.conv2 = nn.Conv2d(before, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.halves:
            x = functional.max_pool2d(x, 2, 2)
        made: Tensor = self.conv2(functional.relu(self.conv1(x)))
        return made + (self.shortcut(x) if self.halves else x)


class _Dilated(nn.Module):
    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 1)
        for number, dilation in enumerate(_DILATIONS, start=1):
            conv = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
            setattr(self, f"conv2_{number}", conv)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(functional.relu(x))
        parts = [getattr(self, f"conv2_{number}")(x) for number in range(1, len(_DILATIONS) + 1)]
        return torch.stack(parts).sum(dim=0)


class _Attention(nn.Module):
    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, inside, 1)
        self.conv2 = nn.Conv2d(inside, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.conv2(self.conv1(functional.relu(x)))
        return x * weights.sigmoid()


class _Reduce(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return made


class PidiNet(nn.Module):
    """From [1, 3, height, width] of 0 to 1, blue first, to edges [1, 1, height, width] of 0 to 1."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        width = shapes["init_block.weight"][0]
        inside, dilated = shapes["attentions.0.conv1.weight"][0], shapes["dilations.0.conv1.weight"][0]
        self.init_block = nn.Conv2d(3, width, 3, padding=1, bias=False)
        widths = [width, width * 2, width * 4, width * 4]
        for name, (stage, before) in _block_names(widths).items():
            side = shapes[f"{name}.conv1.weight"][2]
            halves = name.endswith("_1") and stage > 0
            setattr(self, name, _PixelBlock(before, widths[stage], side, halves=halves))
        self.dilations = nn.ModuleList(_Dilated(one, dilated) for one in widths)
        self.attentions = nn.ModuleList(_Attention(dilated, inside) for _ in widths)
        self.conv_reduces = nn.ModuleList(_Reduce(dilated) for _ in widths)
        self.classifier = nn.Conv2d(len(widths), 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        x = self.init_block(x)
        edges = []
        for stage, count in enumerate(_BLOCKS):
            for index in range(1, count + 1):
                x = getattr(self, f"block{stage + 1}_{index}")(x)
            seen = self.attentions[stage](self.dilations[stage](x))
            edge = functional.interpolate(self.conv_reduces[stage](seen), size, mode="bilinear", align_corners=False)
            edges.append(edge)
        made: Tensor = self.classifier(torch.cat(edges, dim=1))
        return made.sigmoid()


def load_pidinet(path: Path, device: torch.device) -> PidiNet:
    """table5_pidinet.pth. Raises ModelFileError."""
    return load_net(path, PidiNet, device, _folded)


@torch.inference_mode()
def pidinet(net: PidiNet, picture: RgbArray) -> Floats:
    """Soft edges, [height, width], 0 to 1."""
    return as_plane(net(as_batch(picture[:, :, ::-1], device_of(net)) / 255))


def _block_names(widths: list[int]) -> dict[str, tuple[int, int]]:
    """The blocks in their order: the stage of each, and how wide what it gets is."""
    found = {}
    before = widths[0]
    for stage, count in enumerate(_BLOCKS):
        for index in range(1, count + 1):
            found[f"block{stage + 1}_{index}"] = stage, before
            before = widths[stage]
    return found


def _folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file with the differences worked into the kernels."""
    found = dict(tensors)
    names = ["init_block.weight", *(f"{name}.conv1.weight" for name in _block_names([1, 1, 1, 1]))]
    for name, kind in zip(names, _KINDS, strict=True):
        if found[name].shape[2] == 3:
            found[name] = _difference(found[name].float(), kind)
    return found


def _difference(kernel: Tensor, kind: str) -> Tensor:
    """A kernel [out, in, 3, 3] over differences as the kernel over pixels that does the same."""
    flat = kernel.flatten(2)
    if kind == "c":
        changed = flat.clone()
        changed[:, :, 4] -= flat.sum(dim=2)
        return changed.view_as(kernel)
    if kind == "a":
        return (flat - flat[:, :, list(_BEFORE)]).view_as(kernel)
    if kind == "r":
        wide = flat.new_zeros(*kernel.shape[:2], 25)
        wide[:, :, list(_OUTER)], wide[:, :, list(_INNER)] = flat[:, :, 1:], -flat[:, :, 1:]
        return wide.view(*kernel.shape[:2], 5, 5)
    return kernel
