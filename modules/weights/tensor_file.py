"""An open file of named tensors: shapes first, then one tensor at a time, each in memory of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open

from modules.catalogue.kinds import Container, sniff_container
from modules.catalogue.safetensors_header import read_safetensors_header
from modules.weights.errors import CheckpointError
from modules.weights.torch_file import TorchFile, read_torch_legacy, read_torch_zip
from modules.weights.unpickle import TensorRef

# Under which names training writes the weights beside what else it keeps; those that are used come first.
_WEIGHTS: Final = ("state_dict", "params_ema", "params-ema", "params", "model_state_dict")


@dataclass(frozen=True, slots=True)
class TensorFile:
    """Names with shapes, the file's own metadata, and a way to one tensor; valid inside `open_tensors` only.

    What `tensor` returns may be a window into the mapped file: copy it before the file is closed.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    tensor: Callable[[str], torch.Tensor]

    def below(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """The shapes of the tensors whose name starts with `prefix`, without it."""
        return {name[len(prefix) :]: shape for name, shape in self.shapes.items() if name.startswith(prefix)}


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a file of tensors for reading; its bytes decide how, not its suffix.

    Raises:
        ModelFileError: the file is malformed, truncated, unsafe, or no file of tensors.
    """
    container = sniff_container(path)
    if container is not Container.SAFETENSORS:
        yield _torch_tensors(read_torch_zip(path) if container is Container.TORCH_ZIP else read_torch_legacy(path))
        return
    header = read_safetensors_header(path)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            yield TensorFile(path, header.shapes, header.metadata, file.get_tensor)
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} can't be read as safetensors ({error}); fetch it again.") from error


def _torch_tensors(file: TorchFile) -> TensorFile:
    """The tensors of a pickle: those of the dictionary in it that training calls its weights, else its top level."""
    content = file.content
    if isinstance(content, dict):
        content = next((content[key] for key in _WEIGHTS if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict):
        raise CheckpointError(f"{file.path.name} holds no dictionary of tensors; it is not a file of model weights.")
    refs = {name: ref for name, ref in content.items() if isinstance(name, str) and isinstance(ref, TensorRef)}
    shapes = {name: ref.shape for name, ref in refs.items()}
    return TensorFile(file.path, shapes, {}, lambda name: file.tensor(refs[name]))
