"""Textual inversion files: the vectors that stand for a name in a prompt. Gal et al. (2022), arXiv:2208.01618."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch

from modules.catalogue.kinds import Container, sniff_container
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import open_tensors
from modules.weights.torch_file import TorchFile, read_torch_legacy, read_torch_zip
from modules.weights.unpickle import Inert, TensorRef

EMBEDDING_SUFFIXES: Final = (".safetensors", ".pt", ".bin")
_MOST_VECTORS: Final = 4096


def read_embedding(path: Path) -> torch.Tensor:
    """The vectors of a textual inversion: (vectors, width), float32, in memory of their own.

    Read are A1111's `.pt` ("string_to_param"), diffusers' `.bin` and `.safetensors` ("emb_params" or any one name).

    Raises:
        ModelFileError: the file is damaged, unsafe, or holds something else, such as the two encoders' vectors of SDXL.
    """
    tensors = list(_tensors(path))
    if len(tensors) != 1:
        raise CheckpointError(
            f"{path.name} holds {len(tensors)} tensors where a textual inversion for SD1 has one; it may be for SDXL."
        )
    (vectors,) = tensors
    if vectors.ndim == 1:
        vectors = vectors.unsqueeze(0)
    if vectors.ndim != 2 or not 0 < vectors.shape[0] <= _MOST_VECTORS or not vectors.is_floating_point():
        raise CheckpointError(f"{path.name} is no textual inversion: its tensor is {tuple(vectors.shape)}.")
    return vectors


def _tensors(path: Path) -> Iterator[torch.Tensor]:
    """Copies: what is read are windows into the file."""
    container = sniff_container(path)
    if container is Container.SAFETENSORS:
        with open_tensors(path) as file:
            yield from (file.tensor(name).float().clone() for name in file.shapes)
        return
    torch_file = read_torch_zip(path) if container is Container.TORCH_ZIP else read_torch_legacy(path)
    yield from (torch_file.tensor(ref).float().clone() for ref in _references(torch_file))


def _references(file: TorchFile) -> Iterator[TensorRef]:
    content = file.content
    if isinstance(content, dict) and "string_to_param" in content:
        content = _parameters(content["string_to_param"])
    if isinstance(content, dict):
        yield from (value for value in content.values() if isinstance(value, TensorRef))


def _parameters(held: object) -> object:
    """What a `ParameterDict` of 2022 holds: the dictionary inside its state."""
    if isinstance(held, Inert) and isinstance(held.state, dict):
        return held.state.get("_parameters", held.entries)
    return held
