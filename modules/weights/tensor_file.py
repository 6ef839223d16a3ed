"""An open file of named tensors: shapes first, then one tensor at a time, each in memory of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open

from modules.catalogue.kinds import Container, sniff_container
from modules.catalogue.safetensors_header import SafetensorsHeader, TensorEntry, read_safetensors_header
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.torch_file import TorchFile, read_torch_legacy, read_torch_zip
from modules.weights.unpickle import TensorRef

# Under which names training writes the weights beside what else it keeps; those that are used come first.
_WEIGHTS: Final = ("state_dict", "params_ema", "params-ema", "params", "model_state_dict")
# safetensors' names of the types that torch has too.
_DTYPES: Final[Mapping[str, torch.dtype]] = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "U16": torch.uint16, "I16": torch.int16,
    "U32": torch.uint32, "I32": torch.int32, "U64": torch.uint64, "I64": torch.int64, "F16": torch.float16,
    "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorFile:
    """Names with shapes, the file's own metadata, and a way to one tensor; valid inside `open_tensors` only.

    What `tensor` returns may be a window into a mapped file: copy it before the file is closed.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    tensor: Callable[[str], torch.Tensor]

    def below(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """The shapes of the tensors whose name starts with `prefix`, without it."""
        return {name[len(prefix) :]: shape for name, shape in self.shapes.items() if name.startswith(prefix)}


@contextmanager
def open_tensors(path: Path, *, mapped: bool = True) -> Iterator[TensorFile]:
    """Open a file of tensors for reading; its bytes decide how, not its suffix.

    Unless it is `mapped`, a safetensors file is read at once from its beginning to its end: quicker on a network drive
    or a disk that seeks, for as much memory as it is long. A tensor of any file is then in memory of its own.

    Raises:
        ModelFileError: the file is malformed, truncated, unsafe, or no file of tensors.
    """
    container = sniff_container(path)
    if container is not Container.SAFETENSORS:
        torch_file = read_torch_zip(path) if container is Container.TORCH_ZIP else read_torch_legacy(path)
        yield _torch_tensors(torch_file, mapped=mapped)
        return
    header = read_safetensors_header(path)
    if not mapped:
        yield TensorFile(path, header.shapes, header.metadata, _read_at_once(path, header))
        return
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            yield TensorFile(path, header.shapes, header.metadata, file.get_tensor)
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} can't be read as safetensors ({error}); fetch it again.") from error


def _read_at_once(path: Path, header: SafetensorsHeader) -> Callable[[str], torch.Tensor]:
    """The way to the tensors of a file whose data part lies in memory from now on."""
    memory = torch.empty(max((entry.end for entry in header.tensors.values()), default=0), dtype=torch.uint8)
    with path.open("rb", buffering=0) as file:
        file.seek(header.data_start)
        place, begin = memory.numpy().data, 0
        while begin < len(place):
            count = file.readinto(place[begin:])
            if not count:
                raise CheckpointError(f"{path.name} became shorter while it was read; fetch it again.")
            begin += count
    return lambda name: _window(memory, header.tensors[name], path)


def _window(memory: torch.Tensor, entry: TensorEntry, path: Path) -> torch.Tensor:
    dtype = _DTYPES.get(entry.dtype)
    if dtype is None:
        raise CheckpointError(f"{path.name} holds numbers of the type {entry.dtype}, which PyTorch lacks.")
    found = memory[entry.begin : entry.end]
    if entry.begin % dtype.itemsize:
        found = found.clone()  # A tensor starts at a whole number of its elements.
    return found.view(dtype).view(entry.shape)


def _torch_tensors(file: TorchFile, *, mapped: bool) -> TensorFile:
    """The tensors of a pickle: those of the dictionary in it that training calls its weights, else its top level."""
    content = file.content
    if isinstance(content, dict):
        content = next((content[key] for key in _WEIGHTS if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict):
        raise CheckpointError(f"{file.path.name} holds no dictionary of tensors; it is not a file of model weights.")
    refs = {name: ref for name, ref in content.items() if isinstance(name, str) and isinstance(ref, TensorRef)}
    shapes = {name: ref.shape for name, ref in refs.items()}
    take = file.tensor if mapped else lambda ref: file.tensor(ref).clone()
    return TensorFile(file.path, shapes, {}, lambda name: take(refs[name]))
