"""Textual inversion files: the vectors that stand for a name in a prompt. Gal et al. (2022), arXiv:2208.01618."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from modules.catalogue.embedding_files import embedding_tensors, vectors_for
from modules.catalogue.kinds import Container, sniff_container
from modules.pictures.embedded_vectors import read_embedded_vectors
from modules.pictures.opening import PictureError
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import open_tensors
from modules.weights.torch_file import read_torch_file

_MOST_VECTORS: Final = 4096
# Text encoders that a file for several names.
_ROLES: Final = ("clip_l", "clip_g")


@dataclass(frozen=True, slots=True)
class Embedding:
    """A textual inversion: its vectors, (vectors, width) in float32, by the text encoder's role.

    A file for the one text encoder of its family doesn't name it: then the role is empty.
    """

    vectors: Mapping[str, torch.Tensor]
    name: str = ""
    """What prompts call it, where its content says that: in pictures. Others are called as their file."""

    @property
    def widths(self) -> str:
        """Its widths, as a person reads them."""
        return " and ".join(str(tensor.shape[1]) for tensor in self.vectors.values())

    def fitting(self, roles: Sequence[str], widths: Sequence[int]) -> tuple[torch.Tensor, ...] | None:
        """The vectors for text encoders of these roles and widths, in their order; None if it is not for them."""
        own = {name: tensor.shape[1] for name, tensor in self.vectors.items()}
        found = vectors_for(own, roles, widths)
        return None if found is None else tuple(self.vectors[name] for name in found)


def read_embedding(path: Path) -> Embedding:
    """The vectors of a textual inversion, in memory of their own.

    Read are A1111's `.pt` ("string_to_param"), diffusers' `.bin` and `.safetensors` ("emb_params" or any one name), and
    SDXL's files of two encoders ("clip_l", "clip_g").

    Raises:
        ModelFileError: the file is damaged, unsafe, or holds something else.
    """
    return _embedding_of(dict(_tensors(path)), path)


def read_embedding_picture(path: Path) -> Embedding | None:
    """The textual inversion in a picture (`modules.pictures.embedded_vectors`); None if it is just a picture.

    Raises:
        CheckpointError: it holds a damaged one.
    """
    try:
        found = read_embedded_vectors(path)
    except PictureError as error:
        raise CheckpointError(str(error)) from error
    if found is None:
        return None
    return _embedding_of({name: torch.from_numpy(array) for name, array in found.tensors.items()}, path, found.name)


def _embedding_of(tensors: dict[str, torch.Tensor], path: Path, name: str = "") -> Embedding:
    if tensors.keys() >= set(_ROLES):
        tensors = {role: tensors[role] for role in _ROLES}
    elif len(tensors) != 1:
        raise CheckpointError(
            f"{path.name} holds {len(tensors)} tensors; a textual inversion has one, or clip_l and clip_g for SDXL."
        )
    else:
        tensors = {"": next(iter(tensors.values()))}
    return Embedding({role: checked_vectors(tensor, path) for role, tensor in tensors.items()}, name)


def checked_vectors(vectors: torch.Tensor, path: Path) -> torch.Tensor:
    """The vectors of a textual inversion, (vectors, width); `path` only names the file.

    Raises:
        CheckpointError: they are none.
    """
    if vectors.ndim == 1:
        vectors = vectors.unsqueeze(0)
    if vectors.is_floating_point() and not bool(torch.isfinite(vectors).all()):
        raise CheckpointError(f"{path.name} is broken: its vectors hold NaN or infinity.")
    if vectors.ndim != 2 or not 0 < vectors.shape[0] <= _MOST_VECTORS or not vectors.is_floating_point():
        raise CheckpointError(f"{path.name} is no textual inversion: its tensor is {tuple(vectors.shape)}.")
    return vectors


def _tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Copies, by name: what is read are windows into the file."""
    container = sniff_container(path)
    if container is Container.SAFETENSORS:
        with open_tensors(path) as file:
            yield from ((name, file.tensor(name).float().clone()) for name in file.shapes)
        return
    torch_file = read_torch_file(path, container)
    yield from (
        (name, torch_file.tensor(ref).float().clone()) for name, ref in embedding_tensors(torch_file.content).items()
    )
