"""Weights in 8 bits with a scale beside them, as ComfyUI's files have them: read as what they stand for.

`X.scale_weight` (older) or `X.weight_scale` multiplies `X.weight`, all of it or row by row.
"""

from dataclasses import replace
from typing import Final

import torch

from modules.families import TOKEN_EMBEDDING
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import TensorFile

_SCALES: Final = (".scale_weight", ".weight_scale")
_MARK: Final = "scaled_fp8"
_WORDS: Final = tuple(TOKEN_EMBEDDING.values())
_EIGHT_BITS: Final = (torch.float8_e4m3fn, torch.float8_e5m2)
# What weights of other formats have beside them, and what these are called.
_OTHER_FORMATS: Final = {".weight_scale_2": "NVFP4", ".qweight": "SVDQuant", ".quant_map": "bitsandbytes' 4 bits"}


def has_scales(file: TensorFile) -> bool:
    """Whether weights of the file mean nothing without what lies beside them."""
    return any(name.endswith((*_SCALES, *_OTHER_FORMATS)) for name in file.shapes)


def with_scales(file: TensorFile) -> TensorFile:
    """`file`, whose weights are multiplied with their scales when they are taken.

    Raises:
        CheckpointError: a weight lacks its scale, or they are in a format that can't be read here.
    """
    for ending, what in _OTHER_FORMATS.items():
        if any(name.endswith(ending) for name in file.shapes):
            raise CheckpointError(
                f"The weights of {file.path.name} are in {what}, which can't be read here: choose a file in 16 bits, "
                "or in fp8."
            )
    scales = {
        f"{name.removesuffix(ending)}.weight": name
        for ending in _SCALES
        for name in file.shapes
        if name.endswith(ending)
    }
    for name in file.shapes:
        if name.endswith(_MARK):
            _check_all_scaled(file, name.removesuffix(_MARK), scales)
    if not scales:
        return file

    def tensor(name: str) -> torch.Tensor:
        found = file.tensor(name)
        if name not in scales:
            return found
        scale = file.tensor(scales[name]).float()
        rows = scale.reshape(-1, *[1] * (found.ndim - 1)) if scale.numel() > 1 else scale.reshape(())
        return found.float() * rows

    return replace(file, tensor=tensor)


def _check_all_scaled(file: TensorFile, part: str, scales: dict[str, str]) -> None:
    """Raise CheckpointError where a layer lacks its scale in the part of the file that is marked.

    Other parts may be plain, and so may tables of words, which multiply nothing.
    """
    for bare, dtype in file.dtypes.items():
        is_layer = bare.startswith(part) and bare.endswith(".weight") and not bare.endswith(_WORDS)
        if is_layer and dtype in _EIGHT_BITS and bare not in scales:
            raise CheckpointError(
                f"{file.path.name} lacks the scale of {bare}, which its 8 bits mean nothing without: fetch it again."
            )
