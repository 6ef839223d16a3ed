"""Files whose training went wrong: NaN and infinity."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import TensorFile


def check_finite(path: Path, name: str, tensor: Tensor) -> None:
    """Raise CheckpointError if a tensor of the file holds NaN or infinity."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return
    values = tensor.float() if tensor.dtype.itemsize == 1 else tensor
    if not all(math.isfinite(bound) for bound in values.aminmax()):
        raise CheckpointError(
            f"{path.name} is broken: {name} holds NaN or infinity. Fetch it again, or use "
            "an earlier step of its training."
        )


@dataclass(frozen=True, slots=True)
class _FiniteTensors:
    file: TensorFile

    def __call__(self, name: str) -> Tensor:
        tensor = self.file.tensor(name)
        check_finite(self.file.path, name, tensor)
        return tensor


def checked(file: TensorFile) -> TensorFile:
    """The same file, whose tensors raise CheckpointError on being read if they hold NaN or infinity."""
    return replace(file, tensor=_FiniteTensors(file))
