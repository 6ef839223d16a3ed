"""Files whose training went wrong: NaN and infinity."""

import math
from pathlib import Path

from torch import Tensor

from modules.weights.checkpoint_errors import CheckpointError


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
