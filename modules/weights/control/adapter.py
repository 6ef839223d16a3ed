"""T2I-Adapters in all their layouts: Mou et al. (2023), arXiv:2302.08453."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from diffusers.models.adapter import T2IAdapter

from modules.catalogue.control_kinds import ControlKind, control_family
from modules.catalogue.tensor_shapes import Shapes
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource
from modules.weights.outline import Outline, constructed
from modules.weights.tensor_file import TensorFile
from modules.weights.unet_shapes import required_shape

_PREFIX: Final = "adapter."
_LEVELS: Final = 4
_BLOCK = re.compile(r"body\.(\d+)\.(?:resnets\.(\d+)\.)?(.+)")


def adapter_outline(file: TensorFile) -> Outline[T2IAdapter]:
    """The T2I-Adapter of a file in either naming. Raises CheckpointError where its shapes make none."""
    shapes = file.below(_PREFIX)
    if shapes:
        return _outline(file, shapes, lambda name: _PREFIX + name)
    if "body.0.in_conv.weight" in file.shapes:
        names = {_light_name(name): name for name in file.shapes}
    else:
        blocks = 1 + max((int(name.split(".")[1]) for name in file.shapes if name.startswith("body.")), default=-1)
        if blocks % _LEVELS or not blocks:
            raise CheckpointError(f"{file.path.name} has {blocks} blocks where a T2I-Adapter has four levels of them.")
        names = {_full_name(name, blocks // _LEVELS): name for name in file.shapes}
    return _outline(file, {name: file.shapes[own] for name, own in names.items()}, lambda name: names.get(name, name))


def _outline(file: TensorFile, shapes: Shapes, own_name: Callable[[str], str]) -> Outline[T2IAdapter]:
    levels = 1 + max((int(name.split(".")[1]) for name in shapes if name.startswith("body.")), default=-1)
    layers = sum(re.fullmatch(r"body\.0\.resnets\.\d+\.block1\.weight", name) is not None for name in shapes)
    xl = control_family(ControlKind.T2I_ADAPTER, file.shapes) == "SDXL"
    side = 16 if xl else 8
    light = "body.0.out_conv.weight" in shapes
    first = required_shape(shapes, "body.0.in_conv.weight" if light else "conv_in.weight", 4)
    last = "out_conv" if light else "resnets.0.block1"
    channels = [required_shape(shapes, f"body.{level}.{last}.weight", 4)[0] for level in range(levels)]
    config: dict[str, object] = {
        "in_channels": first[1] // side**2,
        # The last level of the light ones is as wide as the one before.
        "channels": channels[:-1] if light else channels,
        "num_res_blocks": layers,
        "downscale_factor": side,
        "adapter_type": "light_adapter" if light else "full_adapter_xl" if xl else "full_adapter",
    }
    make = partial(constructed, T2IAdapter, config, file.path.name, "T2I-Adapter")
    return Outline(make, lambda name: TensorSource(own_name(name.removeprefix(_PREFIX))))


def _full_name(name: str, layers: int) -> str:
    """`body.5.block1.weight` → `body.2.resnets.1.block1.weight`: the original numbers all blocks in one row."""
    found = _BLOCK.fullmatch(name)
    if found is None:
        return name
    level, index = divmod(int(found[1]), layers)
    return f"body.{level}.{found[3]}" if found[3].startswith("in_conv.") else f"body.{level}.resnets.{index}.{found[3]}"


def _light_name(name: str) -> str:
    """`body.1.body.2.block1.weight` → `body.1.resnets.2.block1.weight`."""
    return re.sub(r"^body\.(\d+)\.body\.", r"body.\1.resnets.", name)
