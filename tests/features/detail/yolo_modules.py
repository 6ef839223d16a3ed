"""YOLO's modules as their files pickle them: the published attributes, and a forward pass of its own as a reference.

The classes stand under the names that files have while one is written; the program never sees them.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

TASKS, LAYERS = "ultralytics.nn.tasks", "ultralytics.nn.modules.block"


class Conv(nn.Module):
    def __init__(self, before: int, width: int, side: int = 1, stride: int = 1, groups: int = 1, act: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(before, width, side, stride, side // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001, momentum=0.03)
        self.act = nn.SiLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Any:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, width: int, add: bool = True):
        super().__init__()
        self.cv1, self.cv2, self.add = Conv(width, width, 3), Conv(width, width, 3), add

    def forward(self, x: Tensor) -> Any:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class C2f(nn.Module):
    def __init__(self, before: int, width: int, add: bool = True):
        super().__init__()
        self.c = width // 2
        self.cv1, self.cv2 = Conv(before, width), Conv(3 * self.c, width)
        self.m = nn.ModuleList([Bottleneck(self.c, add)])

    def forward(self, x: Tensor) -> Any:
        one, other = self.cv1(x).split((self.c, self.c), 1)
        return self.cv2(torch.cat([one, other, self.m[0](other)], 1))

    def forward_split(self, x: Tensor) -> Any:
        return self.forward(x)


class C3k(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        self.cv1, self.cv2, self.cv3 = Conv(width, half), Conv(width, half), Conv(2 * half, width)
        self.m = nn.Sequential(Bottleneck(half), Bottleneck(half, add=False))

    def forward(self, x: Tensor) -> Any:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class C3k2(C2f):
    def __init__(self, before: int, width: int):
        super().__init__(before, width)
        self.m = nn.ModuleList([C3k(self.c)])


class SPPF(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.cv1, self.cv2 = Conv(width, width // 2), Conv(2 * width, width)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Any:
        y = [self.cv1(x)]
        y.extend(self.m(y[-1]) for _ in range(3))
        return self.cv2(torch.cat(y, 1))


class Attention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.num_heads, self.head_dim, self.key_dim = 2, width // 2, width // 4
        self.scale = self.key_dim**-0.5
        self.qkv = Conv(width, width * 2, act=False)
        self.proj, self.pe = Conv(width, width, act=False), Conv(width, width, 3, groups=width, act=False)

    def forward(self, x: Tensor) -> Any:
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).view(b, 2, -1, h * w).split([self.key_dim, self.key_dim, self.head_dim], 2)
        seen = torch.einsum("bhdk,bhqk->bhdq", v, torch.einsum("bhdq,bhdk->bhqk", q, k * self.scale).softmax(-1))
        return self.proj(seen.reshape(b, c, h, w) + self.pe(v.reshape(b, c, h, w)))


class PSABlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.attn, self.add = Attention(width), True
        self.ffn = nn.Sequential(Conv(width, width * 2), Conv(width * 2, width, act=False))

    def forward(self, x: Tensor) -> Any:
        x = x + self.attn(x)
        return x + self.ffn(x)


class C2PSA(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.c = width // 2
        self.cv1, self.cv2, self.m = Conv(width, width), Conv(width, width), nn.Sequential(PSABlock(self.c))

    def forward(self, x: Tensor) -> Any:
        one, other = self.cv1(x).split((self.c, self.c), 1)
        return self.cv2(torch.cat((one, self.m(other)), 1))


class RepConv(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.act = nn.SiLU()
        self.conv1, self.conv2 = Conv(width, width, 3, act=False), Conv(width, width, 1, act=False)

    def forward(self, x: Tensor) -> Any:
        return self.act(self.conv1(x) + self.conv2(x))


class RepNCSPELAN4(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        self.c = half
        self.cv1, self.cv4 = Conv(width, width), Conv(4 * half, width)
        chain = C3k(half)
        chain.m = nn.Sequential(Bottleneck(half // 2))
        chain.m[0].cv1 = RepConv(half // 2)
        self.cv2, self.cv3 = nn.Sequential(chain, Conv(half, half, 3)), nn.Sequential(Conv(half, half, 3))

    def forward(self, x: Tensor) -> Any:
        one, other = self.cv1(x).chunk(2, 1)
        third = self.cv2(other)
        return self.cv4(torch.cat([one, other, third, self.cv3(third)], 1))


class ADown(nn.Module):
    def __init__(self, before: int, width: int):
        super().__init__()
        self.c = width // 2
        self.cv1, self.cv2 = Conv(before // 2, width // 2, 3, 2), Conv(before // 2, width // 2)

    def forward(self, x: Tensor) -> Any:
        one, other = nn.functional.avg_pool2d(x, 2, 1, 0, False, True).chunk(2, 1)
        return torch.cat((self.cv1(one), self.cv2(nn.functional.max_pool2d(other, 3, 2, 1))), 1)


class SPPELAN(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.cv1, self.cv5 = Conv(width, width // 2), Conv(2 * width, width)
        self.cv2, self.cv3, self.cv4 = (nn.MaxPool2d(5, 1, 2) for _ in range(3))

    def forward(self, x: Tensor) -> Any:
        y = [self.cv1(x)]
        y.extend(pool(y[-1]) for pool in (self.cv2, self.cv3, self.cv4))
        return self.cv5(torch.cat(y, 1))


class Concat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.d = 1

    def forward(self, x: list[Tensor]) -> Any:
        return torch.cat(x, self.d)


class DFL(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data[:] = torch.arange(16.0).view(1, 16, 1, 1)


class Detect(nn.Module):
    def __init__(self, widths: list[int], classes: int):
        super().__init__()
        self.nc, self.nl, self.reg_max, self.stride = classes, len(widths), 16, torch.tensor([8.0, 16, 32])
        self.cv2 = nn.ModuleList(nn.Sequential(Conv(w, 16, 3), Conv(16, 16, 3), nn.Conv2d(16, 64, 1)) for w in widths)
        self.cv3 = nn.ModuleList(
            nn.Sequential(nn.Sequential(Conv(w, w, 3, groups=w), Conv(w, 8)), nn.Conv2d(8, classes, 1)) for w in widths
        )
        self.dfl = DFL()

    def decoded(self, maps: list[Tensor]) -> Tensor:
        """Boxes as corners by loops over places and sides, then middle and size: [4 + classes, places]."""
        columns = []
        for level, x in enumerate(maps):
            sides, scores, step = self.cv2[level](x)[0], self.cv3[level](x)[0].sigmoid(), float(self.stride[level])
            for row in range(x.shape[2]):
                for column in range(x.shape[3]):
                    far = [
                        float((sides[16 * side : 16 * side + 16, row, column].softmax(0) * torch.arange(16)).sum())
                        for side in range(4)
                    ]
                    x1, y1 = column + 0.5 - far[0], row + 0.5 - far[1]
                    x2, y2 = column + 0.5 + far[2], row + 0.5 + far[3]
                    box = torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]) * step
                    columns.append(torch.cat([box, scores[:, row, column]]))
        return torch.stack(columns, dim=1)


class Proto(nn.Module):
    def __init__(self, before: int):
        super().__init__()
        self.cv1, self.upsample = Conv(before, 8, 3), nn.ConvTranspose2d(8, 8, 2, 2, 0, bias=True)
        self.cv2, self.cv3 = Conv(8, 8, 3), Conv(8, 32)

    def forward(self, x: Tensor) -> Any:
        return self.cv3(self.cv2(self.upsample(self.cv1(x))))


class Segment(Detect):
    def __init__(self, widths: list[int], classes: int):
        super().__init__(widths, classes)
        self.nm, self.proto = 32, Proto(widths[0])
        self.cv4 = nn.ModuleList(nn.Sequential(Conv(w, 8, 3), nn.Conv2d(8, 32, 1)) for w in widths)

    def decoded(self, maps: list[Tensor]) -> Tensor:
        mixes = torch.cat([self.cv4[level](x).flatten(2) for level, x in enumerate(maps)], 2)[0]
        return torch.cat([super().decoded(maps), mixes])


class DetectionModel(nn.Module):
    """A whole net; `sources` say for each layer which ones it takes."""

    def __init__(self, layers: list[tuple[object, nn.Module]], names: dict[int, str]):
        super().__init__()
        self.model = nn.Sequential(*(one for _, one in layers))
        self.names, self.yaml, self.stride = names, {"nc": len(names)}, torch.tensor([8.0, 16, 32])
        for index, (source, one) in enumerate(layers):
            vars(one).update(i=index, f=source, type=f"ultralytics.nn.modules.{type(one).__name__}")

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the head gets."""
        found: list[Tensor] = []
        for part in self.model:
            source = vars(part)["f"]
            taken = [found[one] if found else x for one in (source if isinstance(source, list) else [source])]
            if isinstance(part, Detect):
                return taken
            found.append(part(taken if isinstance(part, Concat) else taken[0]))
        raise AssertionError("no head")


def version_8(head: type[Detect] = Detect) -> DetectionModel:
    """A narrow YOLOv8 with the neck's ways up and down."""
    return DetectionModel(
        [
            (-1, Conv(3, 4, 3, 2)), (-1, Conv(4, 8, 3, 2)), (-1, C2f(8, 8)), (-1, Conv(8, 8, 3, 2)),
            (-1, Conv(8, 16, 3, 2)), (-1, Conv(16, 16, 3, 2)), (-1, SPPF(16)),
            (-1, nn.Upsample(None, 2, "nearest")), ([-1, 4], Concat()), (-1, C2f(32, 16, add=False)),
            (-1, nn.Upsample(None, 2, "nearest")), ([-1, 3], Concat()), (-1, C2f(24, 8, add=False)),
            ([12, 9, 6], head([8, 16, 16], 2)),
        ],
        {0: "face", 1: "hand"},
    )  # fmt: skip


def versions_9_and_11() -> DetectionModel:
    """The layers of versions 9 and 11 one after the other."""
    return DetectionModel(
        [
            (-1, Conv(3, 8, 3, 2)), (-1, Conv(8, 8, 3, 2)), (-1, C3k2(8, 8)), (-1, ADown(8, 8)),
            (-1, RepNCSPELAN4(8)), (-1, Conv(8, 16, 3, 2)), (-1, C2PSA(16)), (-1, Conv(16, 16, 3, 2)),
            (-1, SPPELAN(16)), ([4, 6, 8], Detect([8, 16, 16], 2)),
        ],
        {0: "face", 1: "hand"},
    )  # fmt: skip


def randomised(net: DetectionModel, seed: int = 0) -> DetectionModel:
    """With statistics as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return net.eval()


def pretend_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as a test runs the classes are those of the package whose names files have."""
    names = ("ultralytics", "ultralytics.nn", "ultralytics.nn.modules", LAYERS, TASKS)
    packages = {name: ModuleType(name) for name in names}
    for name, package in packages.items():
        monkeypatch.setitem(sys.modules, name, package)
    for value in list(globals().values()):
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == __name__:
            place = TASKS if value is DetectionModel else LAYERS
            setattr(packages[place], value.__name__, value)
            monkeypatch.setattr(value, "__module__", place)
