"""Textual inversions: which files of their folder are some (pictures too), their names, and which models they are for.

What prompts call one, and so lists, cards and infotexts: what a picture says it is called, else the file's stem. Of
several of one name the last in the folders' order counts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from modules.catalogue.entries import Training
from modules.catalogue.kinds import Container, sniff_container
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.safetensors_header import read_safetensors_header
from modules.catalogue.torch_layout import read_torch_layout
from modules.catalogue.unpickle import Inert, TensorRef
from modules.files import FoundFile, comparable
from modules.parameters.infotext_values import printable
from modules.pictures.embedded_vectors import read_embedded_vectors
from modules.pictures.opening import PictureError

F = TypeVar("F")
_Shapes = Mapping[str, tuple[int, ...]]

EMBEDDING_PICTURES: Final = (".png", ".webp", ".jxl", ".avif")
EMBEDDING_SUFFIXES: Final = (".safetensors", ".pt", ".bin", *EMBEDDING_PICTURES)
_LONGEST_TEXT: Final = 200
_MOST_STEPS: Final = 1 << 53
_PREVIEWS: Final = tuple(f".preview{suffix}" for suffix in EMBEDDING_PICTURES)


def is_embedding_picture(name: str) -> bool:
    """Whether a file of this name is a picture that may have a textual inversion in it."""
    return name.lower().endswith(EMBEDDING_PICTURES)


def without_previews(files: Iterable[FoundFile]) -> list[FoundFile]:
    """Leave out the pictures that are previews: `*.preview.*`, and those named as a textual inversion beside them."""
    files = list(files)
    others = {_bare(file.name) for file in files if not is_embedding_picture(file.name)}
    return [
        file
        for file in files
        if not is_embedding_picture(file.name)
        or not (file.name.lower().endswith(_PREVIEWS) or _bare(file.name) in others)
    ]


@dataclass(frozen=True, slots=True)
class EmbeddingHead:
    """What a file says of its textual inversion: what prompts call it, the shapes of its tensors, its training."""

    name: str
    shapes: _Shapes
    training: Training


def read_embedding_head(path: Path) -> EmbeddingHead | None:
    """Name and shapes of the textual inversion in a file; None for a picture that is just a picture.

    Vectors are read of a picture only, where they are text.

    Raises:
        ModelFileError: the file is damaged, unsafe, or of another kind.
        OSError: it can't be read.
    """
    if is_embedding_picture(path.name):
        try:
            found = read_embedded_vectors(path)
        except PictureError as error:
            raise ModelFileError(str(error)) from error
        if found is None:
            return None
        shapes = {name: one.shape for name, one in found.tensors.items()}
        return EmbeddingHead(found.name, shapes, _training(found.document))
    container = sniff_container(path)
    if container is Container.SAFETENSORS:
        return EmbeddingHead(path.stem, read_safetensors_header(path).shapes, Training())
    content = read_torch_layout(path, container).content
    shapes = {name: ref.shape for name, ref in embedding_tensors(content).items()}
    return EmbeddingHead(path.stem, shapes, _training(content if isinstance(content, dict) else {}))


def _training(content: Mapping[str, object]) -> Training:
    """A1111's fields of that; what is none of theirs is left out."""
    step = content.get("step")
    texts = (content.get(name) for name in ("sd_checkpoint", "sd_checkpoint_name"))
    hashed, name = (printable(text[:_LONGEST_TEXT]) if isinstance(text, str) else None for text in texts)
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < _MOST_STEPS:
        step = None
    return Training(step, hashed, name)


def embedding_tensors(content: object) -> dict[str, TensorRef]:
    """The vectors in the object of a PyTorch file: A1111's "string_to_param", or names at its top."""
    if isinstance(content, dict) and "string_to_param" in content:
        content = _parameters(content["string_to_param"])
    if not isinstance(content, dict):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, TensorRef)}


def _parameters(held: object) -> object:
    """What a `ParameterDict` of 2022 holds: the dictionary inside its state."""
    if isinstance(held, Inert) and isinstance(held.state, dict):
        return held.state.get("_parameters", held.entries)
    return held


def embedding_base(shapes: _Shapes) -> str:
    """The family that a textual inversion with tensors of these shapes is for ("SD1"); empty where they don't say."""
    if "clip_g" in shapes:
        return "SDXL"
    widths = {shape[-1] for shape in shapes.values() if shape}
    return next((base for width, base in ((768, "SD1"), (1024, "SD2")) if widths == {width}), "")


def that_prompts_can_name(files: Iterable[F], name: Callable[[F], str], readable: Callable[[F], bool]) -> list[F]:
    """Of files in the folders' order those whose name means them: of several of one name the last that can be read."""
    files = list(files)
    meant = {comparable(name(file)): file for file in sorted(files, key=readable)}
    return [file for file in files if meant[comparable(name(file))] is file]


def vectors_for(widths: Mapping[str, int], roles: Sequence[str], text_widths: Sequence[int]) -> tuple[str, ...] | None:
    """Which vectors of a textual inversion are for text encoders of these roles and widths, in the encoders' order.

    `widths` are those of its vectors by their names: the encoder's role, or any if there is but one. One for two
    encoders is not for a family with one of them, as in A1111: there its name is text.

    Returns:
        Names of `widths`; None if it is for other encoders.
    """
    found = [name for name in (roles if len(roles) > 1 else widths) if name in widths]
    return tuple(found) if [widths[name] for name in found] == list(text_widths) else None


def _bare(name: str) -> str:
    return name.lower().rpartition(".")[0]
