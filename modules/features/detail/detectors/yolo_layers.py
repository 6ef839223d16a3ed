"""The building blocks of YOLO 8, 9 and 11 as their papers and model descriptions have them, made of a file's tree.

Written from the published structure: Jocher et al. (v8, v11), Wang et al. 2024 (v9: "YOLOv9", GELAN).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.features.detail.detectors.yolo_file import ModuleNode

_EPSILON: Final = 1e-3


class UnknownLayerError(ValueError):
    """A kind of layer that isn't known here; the message is its name."""


class Leaf(nn.Module):
    """A convolution, plain or transposed, with its numbers from the file."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.weight = _fixed(node.tensors["weight"])
        self.bias = _fixed(node.tensors["bias"]) if "bias" in node.tensors else None
        self.stride, self.groups = node.number("stride"), node.number("groups")
        self.padding, self.dilation = node.number("padding"), node.number("dilation")
        self.transposed = bool(node.attributes.get("transposed"))

    def forward(self, x: Tensor) -> Tensor:
        if self.transposed:
            return functional.conv_transpose2d(
                x, self.weight, self.bias, self.stride, self.padding, 0, self.groups, self.dilation
            )
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv(nn.Module):
    """A convolution, its normalisation where it isn't folded in, and SiLU unless it says that it has none."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.conv = Leaf(node.children["conv"])
        norm = node.children.get("bn")
        self.norm = None if norm is None else nn.ParameterList(_fixed(norm.tensors[name]) for name in _NORM)
        activation = node.children.get("act")
        # An identity has no attribute of its own; SiLU has `inplace`.
        self.active = activation is None or "inplace" in activation.attributes

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            mean, variance, weight, bias = self.norm
            x = functional.batch_norm(x, mean, variance, weight, bias, eps=_EPSILON)
        return functional.silu(x) if self.active else x


class Chain(nn.Module):
    """One after the other: what the file has as a sequence or a list."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.parts = nn.ModuleList(build(node.children[str(index)]) for index in range(len(node.children)))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


class Bottleneck(nn.Module):
    """Two convolutions, added to what they got where the file says so."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.cv1, self.cv2 = build(node.children["cv1"]), build(node.children["cv2"])
        self.add = bool(node.attributes.get("add"))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.cv2(self.cv1(x))
        return x + made if self.add else made


class C2f(nn.Module):
    """Half passed on, the other half through a chain of which every link is passed on. Also C3k2."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.cv1, self.cv2, self.m = Conv(node.children["cv1"]), Conv(node.children["cv2"]), Chain(node.children["m"])

    def forward(self, x: Tensor) -> Tensor:
        found = list(self.cv1(x).chunk(2, 1))
        for part in self.m.parts:
            found.append(part(found[-1]))
        made: Tensor = self.cv2(torch.cat(found, 1))
        return made


class C3(nn.Module):
    """A chain beside a convolution. Also C3k and RepCSP."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.cv1, self.cv2, self.cv3 = (Conv(node.children[name]) for name in ("cv1", "cv2", "cv3"))
        self.m = Chain(node.children["m"])

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))
        return made


class Pooled(nn.Module):
    """SPPF, and SPPELAN of version 9: the same maximum taken three times over."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.first = Conv(node.children["cv1"])
        self.last = Conv(node.children["cv5" if "cv5" in node.children else "cv2"])
        pool = node.children["m" if "m" in node.children else "cv2"]
        self.side = pool.number("kernel_size")

    def forward(self, x: Tensor) -> Tensor:
        found = [self.first(x)]
        for _ in range(3):
            found.append(functional.max_pool2d(found[-1], self.side, 1, self.side // 2))
        made: Tensor = self.last(torch.cat(found, 1))
        return made


class PlaceAttention(nn.Module):
    """Attention between places, with a convolution of the values for where they are (v11)."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.qkv, self.proj, self.pe = (Conv(node.children[name]) for name in ("qkv", "proj", "pe"))
        self.heads, self.key, self.head = (node.number(name) for name in ("num_heads", "key_dim", "head_dim"))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        mixed = self.qkv(x).view(batch, self.heads, 2 * self.key + self.head, height * width)
        query, key, value = mixed.split([self.key, self.key, self.head], dim=2)
        weights = (query.transpose(-2, -1) @ key * self.key**-0.5).softmax(dim=-1)
        seen = (value @ weights.transpose(-2, -1)).view(batch, channels, height, width)
        made: Tensor = self.proj(seen + self.pe(value.reshape(batch, channels, height, width)))
        return made


class Attending(nn.Module):
    """Attention, then two convolutions, each added to what it got."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.attn, self.ffn = PlaceAttention(node.children["attn"]), Chain(node.children["ffn"])
        self.add = bool(node.attributes.get("add", True))

    def forward(self, x: Tensor) -> Tensor:
        if not self.add:
            made: Tensor = self.ffn(self.attn(x))
            return made
        seen: Tensor = x + self.attn(x)
        mixed: Tensor = self.ffn(seen)
        return seen + mixed


class C2Psa(nn.Module):
    """Half passed on, the other half through attention (v11)."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.cv1, self.cv2, self.m = Conv(node.children["cv1"]), Conv(node.children["cv2"]), Chain(node.children["m"])

    def forward(self, x: Tensor) -> Tensor:
        plain, rest = self.cv1(x).chunk(2, 1)
        made: Tensor = self.cv2(torch.cat([plain, self.m(rest)], 1))
        return made


class RepConv(nn.Module):
    """A convolution of three by three and one of one by one, added up (v9)."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(node.children["conv1"]), Conv(node.children["conv2"])

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv1(x) + self.conv2(x)
        return functional.silu(made)


class Elan(nn.Module):
    """Version 9's RepNCSPELAN4: halves, of which one goes through two chains, every stage passed on."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.cv1, self.cv4 = Conv(node.children["cv1"]), Conv(node.children["cv4"])
        self.cv2, self.cv3 = build(node.children["cv2"]), build(node.children["cv3"])

    def forward(self, x: Tensor) -> Tensor:
        found = list(self.cv1(x).chunk(2, 1))
        found.append(self.cv2(found[-1]))
        found.append(self.cv3(found[-1]))
        made: Tensor = self.cv4(torch.cat(found, 1))
        return made


class Down(nn.Module):
    """Version 9's ADown: averaged, then one half convolved and the other its maximum."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(node.children["cv1"]), Conv(node.children["cv2"])

    def forward(self, x: Tensor) -> Tensor:
        one, other = functional.avg_pool2d(x, 2, 1, 0, False, True).chunk(2, 1)
        return torch.cat([self.cv1(one), self.cv2(functional.max_pool2d(other, 3, 2, 1))], 1)


class Doubled(nn.Module):
    """Twice as large, each pixel repeated."""

    def __init__(self, _node: ModuleNode) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Prototypes(nn.Module):
    """What masks are mixed of (-seg)."""

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.parts = nn.ModuleList(build(node.children[name]) for name in ("cv1", "upsample", "cv2", "cv3"))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


_NORM: Final = ("running_mean", "running_var", "weight", "bias")
_KINDS: Final[Mapping[str, Callable[[ModuleNode], nn.Module]]] = {
    **{"Conv": Conv, "DWConv": Conv, "C2f": C2f, "C3k2": C2f, "C3": C3, "SPPF": Pooled, "SPPELAN": Pooled},
    **{"C2PSA": C2Psa, "RepNCSPELAN4": Elan, "ADown": Down, "Upsample": Doubled},
}


def layer(node: ModuleNode) -> nn.Module:
    """A layer of the top, by its name. Raises UnknownLayerError."""
    if node.kind not in _KINDS:
        raise UnknownLayerError(node.kind or "unnamed")
    return _KINDS[node.kind](node)


def build(node: ModuleNode) -> nn.Module:
    """A module within a layer, by its children. Raises UnknownLayerError."""
    names = set(node.children)
    if "conv" in names:
        return Conv(node)
    if "weight" in node.tensors and node.tensors["weight"].ndim == 4:
        return Leaf(node)
    if names and names == {str(index) for index in range(len(names))}:
        return Chain(node)
    by_children: tuple[tuple[set[str], Callable[[ModuleNode], nn.Module]], ...] = (
        ({"cv1", "cv2", "cv3", "m"}, C3), ({"attn", "ffn"}, Attending), ({"conv1", "conv2"}, RepConv),
        ({"cv1", "cv2"}, Bottleneck),
    )  # fmt: skip
    for wanted, make in by_children:
        if wanted <= names:
            return make(node)
    raise UnknownLayerError(", ".join(sorted(names))[:60] or "unnamed")


def _fixed(tensor: Tensor) -> nn.Parameter:
    """A copy in 32 bits, for the tensor may be a window into the file."""
    return nn.Parameter(tensor.to(torch.float32, copy=True), requires_grad=False)
