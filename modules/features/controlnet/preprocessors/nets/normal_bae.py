"""Surface normals with aleatoric uncertainty (Bae et al. 2021, MIT) on EfficientNet-B5, in the file of ScanNet."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, device_of, load_net

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
_EPSILON: Final = 1e-3
# Of EfficientNet's seven stages the first strides, and those whose answers the decoder sees.
_STRIDES: Final = (1, 2, 2, 2, 1, 2, 1)
_SEEN: Final = (0, 1, 2, 4)
_ENCODER: Final = "encoder.original_model"
_UPS: Final = ("up1", "up2", "up3", "up4")
_HEADS: Final = ("out_conv_res4", "out_conv_res2", "out_conv_res1")


class _SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: the answer has a side / stride pixels, rounded up."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for side, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            more = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [more // 2, more - more // 2]
        made: Tensor = super().forward(functional.pad(x, pads))
        return made


class _SqueezeExcite(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(width, inside, 1)
        self.conv_expand = nn.Conv2d(inside, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.conv_expand(functional.silu(self.conv_reduce(x.mean((2, 3), keepdim=True))))
        return x * seen.sigmoid()


class _EfficientBlock(nn.Module):
    """EfficientNet's block: with `conv_pwl` an inverted residual, without it depthwise separable."""

    def __init__(self, shapes: Shapes, name: str, stride: int) -> None:
        super().__init__()
        inside, _, side, _ = shapes[f"{name}.conv_dw.weight"]
        self.widens = f"{name}.conv_pwl.weight" in shapes
        width = shapes[f"{name}.conv_pwl.weight" if self.widens else f"{name}.conv_pw.weight"][0]
        before = shapes[f"{name}.conv_pw.weight"][1]
        self.residual = stride == 1 and before == width
        self.conv_dw = _SameConv(inside, inside, side, stride, groups=inside, bias=False)
        self.se = _SqueezeExcite(inside, shapes[f"{name}.se.conv_reduce.weight"][0])
        self.bn1 = nn.BatchNorm2d(inside, _EPSILON)
        if self.widens:
            self.conv_pw = nn.Conv2d(before, inside, 1, bias=False)
            self.bn2, self.bn3 = nn.BatchNorm2d(inside, _EPSILON), nn.BatchNorm2d(width, _EPSILON)
            self.conv_pwl = nn.Conv2d(inside, width, 1, bias=False)
        else:
            self.conv_pw = nn.Conv2d(inside, width, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = functional.silu(self.bn1(self.conv_pw(x) if self.widens else self.conv_dw(x)))
        if self.widens:
            made = functional.silu(self.bn2(self.conv_dw(made)))
            made = self.bn3(self.conv_pwl(self.se(made)))
        else:
            made = self.bn2(self.conv_pw(self.se(made)))
        return x + made if self.residual else made


class _EfficientNet(nn.Module):
    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        stem = shapes[f"{_ENCODER}.conv_stem.weight"][0]
        self.conv_stem, self.bn1 = _SameConv(3, stem, 3, 2, bias=False), nn.BatchNorm2d(stem, _EPSILON)
        self.blocks = nn.ModuleList(_stage(shapes, number, stride) for number, stride in enumerate(_STRIDES))
        last, before = shapes[f"{_ENCODER}.conv_head.weight"][:2]
        self.conv_head = nn.Conv2d(before, last, 1, bias=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.silu(self.bn1(self.conv_stem(x)))
        seen = []
        for number, stage in enumerate(self.blocks):
            x = stage(x)
            if number in _SEEN:
                seen.append(x)
        return [*seen, self.conv_head(x)]


def _stage(shapes: Shapes, number: int, stride: int) -> nn.Sequential:
    names = [f"{_ENCODER}.blocks.{number}.{index}" for index in range(64)]
    found = [name for name in names if f"{name}.conv_dw.weight" in shapes]
    return nn.Sequential(*(_EfficientBlock(shapes, name, 1 if index else stride) for index, name in enumerate(found)))


class _NormalEncoder(nn.Module):
    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.original_model = _EfficientNet(shapes)


class _NormalUp(nn.Module):
    """A coarser stage enlarged beside a finer one."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self._net = nn.Sequential(
            nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        up = functional.interpolate(x, finer.shape[2:], mode="bilinear", align_corners=True)
        made: Tensor = self._net(torch.cat([up, finer], dim=1))
        return made


class _NormalDecoder(nn.Module):
    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        last, before = shapes["decoder.conv2.weight"][:2]
        self.conv2 = nn.Conv2d(before, last, 1)
        for name in _UPS:
            width, into = shapes[f"decoder.{name}._net.0.weight"][:2]
            setattr(self, name, _NormalUp(into, width))
        self.out_conv_res8 = nn.Conv2d(shapes["decoder.out_conv_res8.weight"][1], 4, 3, padding=1)
        for name in _HEADS:
            inside, into = shapes[f"decoder.{name}.0.weight"][:2]
            widths = (into, inside, inside, inside, 4)
            convs: list[nn.Module] = [nn.Conv1d(widths[0], widths[1], 1)]
            for one, other in pairwise(widths[1:]):
                convs += [nn.ReLU(), nn.Conv1d(one, other, 1)]
            setattr(self, name, nn.Sequential(*convs))

    def forward(self, seen: list[Tensor]) -> Tensor:
        features = [self.conv2(seen[-1])]
        for name, finer in zip(_UPS, seen[-2::-1], strict=True):
            features.append(getattr(self, name)(features[-1], finer))
        found = _unit(self.out_conv_res8(features[2]))
        for name, feature in zip(_HEADS, features[2:], strict=True):
            both = torch.cat([feature, found], dim=1)
            both = functional.interpolate(both, scale_factor=2, mode="bilinear", align_corners=True)
            found = _unit(getattr(self, name)(both.flatten(2)).view(1, 4, *both.shape[2:]))
        return found


def _unit(x: Tensor) -> Tensor:
    """Normals of length 1, and the fourth channel, how sure they are, above 0."""
    length = x[:, :3].norm(dim=1, keepdim=True) + 1e-10
    return torch.cat([x[:, :3] / length, functional.elu(x[:, 3:]) + 1.01], dim=1)


class NormalBae(nn.Module):
    """From [1, 3, height, width], ImageNet's mean and deviation taken out, to [1, 4, height, width]: a normal of
    length 1 and how sure it is. Sides are multiples of 32."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.encoder, self.decoder = _NormalEncoder(shapes), _NormalDecoder(shapes)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.decoder(self.encoder.original_model(x))
        return made


def load_normal_bae(path: Path, device: torch.device) -> NormalBae:
    """scannet.pt. Raises ModelFileError."""
    return load_net(path, NormalBae, device)


@torch.inference_mode()
def normal_bae(net: NormalBae, picture: RgbArray) -> RgbArray:
    """Which way surfaces look, [height, width, 3]: x, y and z from -1 to 1 as 0 to 255."""
    device = device_of(net)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _STD))
    normals = net((as_batch(picture, device) / 255 - mean) / std)[0, :3]
    return cut_to_bytes(((normals + 1) * 127.5).clamp(0, 255).permute(1, 2, 0).float().nan_to_num(0).cpu().numpy())
