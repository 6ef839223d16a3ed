"""From a file of weights to a network: read safely, every tensor in its place, in 32 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.tensor_shapes import Shapes
from modules.features.controlnet.arrays import Floats, RgbArray
from modules.weights.fill import MisfitError, published_net
from modules.weights.tensor_file import open_tensors

N = TypeVar("N", bound=nn.Module)
# What a file's tensors are called in the network, from what they are called in the file.
Rename = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class AnnotatorError(ModelFileError):
    """A preprocessor's file is missing or can't be used; the message is the sentence to show."""


def load_net(
    path: Path,
    make: Callable[[Shapes], N],
    device: torch.device,
    rename: Rename | None = None,
    prefix: str = "",
) -> N:
    """The network of `path` on `device`, frozen, in evaluation mode.

    `make` gets the shapes of the tensors under the network's names, and makes the network where parameters cost
    nothing.
    `prefix` is what the names of the file may begin with.

    Raises:
        ModelFileError: the file is unsafe, damaged, or of another network.
    """
    with open_tensors(path) as file:
        tensors = {name.removeprefix("module.").removeprefix(prefix): file.tensor(name) for name in file.shapes}
        try:
            return published_net(make, lambda: tensors if rename is None else rename(tensors), device)
        except MisfitError as error:
            raise _of_another_kind(path) from error


def _of_another_kind(path: Path) -> AnnotatorError:
    return AnnotatorError(
        f"{path.name} holds other weights than this preprocessor's, or not all of them; fetch it again."
    )


def as_batch(picture: RgbArray, device: torch.device) -> Tensor:
    """[1, 3, height, width], 0 to 255 in 32 bits, of a picture."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None]).to(device, torch.float32)


def as_plane(values: Tensor) -> Floats:
    """[height, width] of [1, 1, height, width]; what overflowed is 0."""
    return np.asarray(values[0, 0].float().nan_to_num(0, 0, 0).cpu().numpy(), dtype=np.float32)


def device_of(net: nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(net.parameters()).device
