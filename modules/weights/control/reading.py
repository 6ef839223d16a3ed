"""A file of a control model as modules: its tensors say what it is, and nothing is looked up on a hub."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from modules.catalogue.control_kinds import DIFFERENCE, ControlKind, control_family, control_kind
from modules.hardware.device import module_bytes
from modules.weights.control.adapter import adapter_outline
from modules.weights.control.controlnet import controlnet_outline, union_outline
from modules.weights.control.from_checkpoint import differences_added, ranks_added
from modules.weights.control.ip_adapter import ip_adapter_outline
from modules.weights.control.lllite import lllite_outline
from modules.weights.control.style import style_outline
from modules.weights.fill import SourceOf, build_module
from modules.weights.finite import checked
from modules.weights.tensor_file import TensorFile, open_tensors
from modules.weights.weight_buffer import one_thread


@dataclass(frozen=True, slots=True, eq=False)
class ControlModel:
    """A control model in memory.

    `module` is diffusers' `ControlNetModel`, `ControlNetUnionModel` or `T2IAdapter`, an `ImageAdapter`, a
    `StyleAdapter` or a `ControlLite`. `checkpoint` is the file whose weights are part of it, None for most: it is
    another model with another checkpoint.
    """

    path: Path
    kind: ControlKind
    family: str
    """The short name of the family it is for ("SD1", "SD2", "SDXL"); "" where its shapes don't say it."""
    module: nn.Module
    checkpoint: Path | None = None

    @property
    def size(self) -> int:
        """Bytes of its weights."""
        return module_bytes(self.module)


def read_control_model(
    path: Path,
    *,
    checkpoint: Path,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    channels_last: bool = False,
) -> ControlModel:
    """Read a control model of any kind and naming.

    Args:
        checkpoint: the file of the checkpoint that it will guide, read where the file holds only what is added to it.
        dtype: of the modules; that of the UNet.

    Raises:
        ModelFileError: the file is damaged, unsafe, incomplete, holds NaN or infinity, or is of a kind that can't be
            used; one sentence says which.
    """
    with ExitStack() as files:
        files.enter_context(one_thread())
        file = files.enter_context(open_tensors(path))
        kind = control_kind(path.name, file.shapes)
        family = control_family(kind, file.shapes)
        file = checked(file)
        added = kind is ControlKind.CONTROL_LORA or DIFFERENCE in file.shapes
        if added:
            base = files.enter_context(open_tensors(checkpoint))
            file = (ranks_added if kind is ControlKind.CONTROL_LORA else differences_added)(file, base)
        make, source_of = _outline(kind, file)
        module = build_module(
            make,
            file,
            source_of,
            part=kind.value.partition(" ")[2],
            dtype=dtype,
            device=torch.device(device),
            channels_last=channels_last,
        )
    return ControlModel(path, kind, family, module, checkpoint if added else None)


def _outline(kind: ControlKind, file: TensorFile) -> tuple[Callable[[], nn.Module], SourceOf]:
    match kind:
        case ControlKind.CONTROLNET | ControlKind.CONTROL_LORA:
            controlnet, _ = controlnet_outline(file)
            return controlnet.make, controlnet.source_of
        case ControlKind.UNION:
            union, _ = union_outline(file)
            return union.make, union.source_of
        case ControlKind.T2I_ADAPTER:
            adapter = adapter_outline(file)
            return adapter.make, adapter.source_of
        case ControlKind.LLLITE:
            lite = lllite_outline(file)
            return lite.make, lite.source_of
        case ControlKind.IP_ADAPTER:
            image = ip_adapter_outline(file)
            return image.make, image.source_of
        case ControlKind.STYLE:
            style = style_outline(file)
            return style.make, style.source_of
