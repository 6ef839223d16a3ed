"""A file becomes an upscaler or a face restorer: read safely, its architecture recognised by its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.upscaling.architectures import registry
from modules.upscaling.upscaler_errors import UpscalerError
from modules.weights.tensor_file import open_tensors

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

# What an architecture's own reading of a state dict fails with when the tensors don't belong together.
_MISFITS: Final = (
    *(KeyError, IndexError, ValueError, TypeError, AttributeError, AssertionError, ZeroDivisionError),
    *(RuntimeError, NotImplementedError, OverflowError),
)
_ENLARGING: Final = frozenset({"SR", "Restoration"})


@dataclass(slots=True)
class PictureModel:
    """A model from picture to picture. `architecture` is spandrel's id, such as ESRGAN."""

    name: str
    architecture: str
    scale: int
    channels: int
    net: ImageModelDescriptor[torch.nn.Module]

    @property
    def device(self) -> torch.device:
        device: torch.device = next(self.net.model.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = next(self.net.model.parameters()).dtype
        return dtype

    def to(self, device: torch.device, wanted: torch.dtype) -> None:
        """Move it to `device`, in `wanted` or, where its architecture can't compute in that, in 32 bits."""
        able = {torch.float16: self.net.supports_half, torch.bfloat16: self.net.supports_bfloat16}
        self.net.model.to(device=device, dtype=wanted if able.get(wanted, True) else torch.float32)

    @torch.inference_mode()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """[1, channels, height, width] in 0..1 to the same, `scale` times as large, in float32 on the CPU.

        Where half precision overflows, the model goes over to 32 bits for good.
        """
        result: torch.Tensor = self.net(image.to(self.device, self.dtype)).float()
        if self.dtype != torch.float32 and not torch.isfinite(result).all():
            self.net.model.to(dtype=torch.float32)
            result = self.net(image.to(self.device, torch.float32)).float()
        return result.nan_to_num().clamp(0, 1).cpu()


def load_upscaler(path: Path) -> PictureModel:
    """The upscaler in `path`. Raises ModelFileError with one sentence."""
    net = _load(path, "an upscaler")
    if getattr(net, "purpose", "") not in _ENLARGING or net.input_channels != net.output_channels:
        what = "for faces" if getattr(net, "purpose", "") == "FaceSR" else "for another purpose"
        raise UpscalerError(f"{path.name} is no upscaler: it holds a model {what} ({net.architecture.id}).")
    if net.input_channels not in (1, 3):
        raise UpscalerError(f"{path.name} is for pictures of {net.input_channels} channels, which can't be used here.")
    return PictureModel(path.stem, str(net.architecture.id), net.scale, net.input_channels, net)


def load_restorer(path: Path) -> PictureModel:
    """The face restorer in `path`. Raises ModelFileError with one sentence."""
    net = _load(path, "a face restorer")
    if getattr(net, "purpose", "") != "FaceSR":
        raise UpscalerError(f"{path.name} is no face restorer: it holds a model of the kind {net.architecture.id}.")
    return PictureModel(path.stem, str(net.architecture.id), net.scale, net.input_channels, net)


def _load(path: Path, wanted: str) -> ImageModelDescriptor[torch.nn.Module]:
    known = registry()
    # Only now: spandrel itself can't be imported before the registry has been.
    from spandrel import ImageModelDescriptor, UnsupportedModelError

    with open_tensors(path) as file:
        kind = classify_tensors(file.shapes)
        try:
            # The tensors may be windows into the file: the model copies them into its own before it is closed.
            net = known.load({name: file.tensor(name) for name in file.shapes})
        except UnsupportedModelError as error:
            kind_note = f" It is {kind.value}." if kind not in (ModelKind.UNKNOWN, ModelKind.UPSCALER) else ""
            raise UpscalerError(f"{path.name} is not {wanted} of a known kind.{kind_note}") from error
        except _MISFITS as error:
            first = str(error).strip().splitlines()
            why = f" ({first[0][:120]})" if first else ""
            raise UpscalerError(
                f"{path.name} is damaged or not {wanted}: its tensors don't fit together{why}."
            ) from error
    if not isinstance(net, ImageModelDescriptor):
        raise UpscalerError(f"{path.name} is not {wanted}: it holds a model of the kind {net.architecture.id}.")
    net.model.eval().requires_grad_(False)
    return net
