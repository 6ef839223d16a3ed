"""ControlNet-LLLite: small networks that change what the UNet's attentions are given, by a control picture.

Kohya's sd-scripts, networks/control_net_lllite.py (Apache-2.0). Each changed layer x → layer(x) becomes
x → layer(x + up(mid([view of the picture; down(x)]))).
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource
from modules.weights.outline import Outline
from modules.weights.tensor_file import TensorFile
from modules.weights.unet_shapes import required_shape

PREFIX: Final = "lllite_unet_"
_PART = re.compile(r"(lllite_unet_\w+)\.(conditioning1\.\d+|down\.0|mid\.0|up\.0)\.(weight|bias)")


class LiteLayer(nn.Module):
    """What changes one layer. `conditioning1` looks at the picture; the other three are linear or 1×1 convolutions."""

    def __init__(self, shapes: Shapes) -> None:
        """`shapes` are those of its tensors. Raises CheckpointError where one is missing."""
        super().__init__()
        looks: list[nn.Module] = []
        for index in sorted({int(name.split(".")[1]) for name in shapes if name.startswith("conditioning1.")}):
            outside, inside, side, _ = required_shape(shapes, f"conditioning1.{index}.weight", 4)
            looks += [*([nn.ReLU()] if looks else []), nn.Conv2d(inside, outside, side, stride=side)]
        self.conditioning1 = nn.Sequential(*looks)
        self.down, self.mid = (nn.Sequential(_layer(shapes, part), nn.ReLU()) for part in ("down.0", "mid.0"))
        self.up = nn.Sequential(_layer(shapes, "up.0"))

    @property
    def weight(self) -> Tensor:
        """A weight, in the type and on the device of all."""
        return self.get_parameter("up.0.weight")

    @property
    def stride(self) -> int:
        """Pixels of the picture along one side for each cell that the layer sees."""
        side = 1
        for layer in self.conditioning1:
            side *= layer.stride[0] if isinstance(layer, nn.Conv2d) else 1
        return side

    def view(self, picture: Tensor) -> Tensor:
        """Its view, (1, channels, cells down, across), of a control picture, (1, 3, height, width) from -1 to 1."""
        side, (height, width) = self.stride, picture.shape[-2:]
        # A cell that lies over the edge sees what is there, as in the UNet.
        padded = functional.pad(picture, (0, -width % side, 0, -height % side), mode="replicate")
        seen: Tensor = self.conditioning1(padded)
        return seen

    def forward(self, x: Tensor, view: Tensor) -> Tensor:
        """What is added to `x`: (rows, tokens, channels), or (rows, channels, height, width) of a convolution."""
        axis = 1
        if x.ndim == 3:
            view, axis = view.flatten(2).transpose(1, 2), 2
        seen = view.expand(x.shape[0], *view.shape[1:])
        made: Tensor = self.up(self.mid(torch.cat([seen, self.down(x)], dim=axis)))
        return made


class ControlLite(nn.Module):
    """A whole file: its layers by the names that it gives to those of the UNet."""

    def __init__(self, shapes: dict[str, dict[str, tuple[int, ...]]]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: LiteLayer(own) for name, own in shapes.items()})


def lllite_outline(file: TensorFile) -> Outline[ControlLite]:
    """The LLLite of a file. Raises CheckpointError where a layer of it is not whole."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for name, shape in file.shapes.items():
        found = _PART.fullmatch(name)
        if found is None:
            raise CheckpointError(f"{file.path.name} has a tensor {name[:80]!r}, which no ControlNet-LLLite has.")
        shapes[found[1]][f"{found[2]}.{found[3]}"] = shape
    return Outline(lambda: ControlLite(shapes), lambda name: TensorSource(name.removeprefix("layers.")))


def _layer(shapes: Shapes, part: str) -> nn.Module:
    shape = shapes.get(f"{part}.weight", ())
    if len(shape) == 4:
        return nn.Conv2d(shape[1], shape[0], 1)
    outside, inside = required_shape(shapes, f"{part}.weight", 2)
    return nn.Linear(inside, outside)
