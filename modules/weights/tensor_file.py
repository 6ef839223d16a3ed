"""An open file of named tensors: shapes first, then one tensor at a time, each in memory of its own."""

import mmap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open

from modules.catalogue.kinds import Container, sniff_container
from modules.catalogue.safetensors_header import SafetensorsHeader, TensorEntry, read_safetensors_header
from modules.catalogue.tensor_shapes import weights_in
from modules.catalogue.unpickle import TensorRef
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.torch_file import TorchFile, read_torch_file, torch_type

# safetensors' names of the types that torch has too.
SAFETENSORS_DTYPES: Final[Mapping[str, torch.dtype]] = {
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
    dtypes: Mapping[str, torch.dtype]
    """Without those tensors whose type PyTorch lacks."""
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
        file = read_torch_file(path, container)
        yield _torch_tensors(file, file.tensor if mapped else lambda ref: _copied(file, ref))
        return
    header = read_safetensors_header(path)
    if not mapped:
        yield _safetensors(path, header, _read_at_once(path, header))
        return
    try:
        with safe_open(str(path), framework="pt", device="cpu") as opened:
            yield _safetensors(path, header, opened.get_tensor)
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} can't be read as safetensors ({error}); fetch it again.") from error


@contextmanager
def stream_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a file of tensors to go through it once: each is read when it is wanted, into memory of its own.

    Unlike pages of a mapped file, nothing of those that went before stays in the process's memory. Errors as
    `open_tensors`.
    """
    container = sniff_container(path)
    if container is not Container.SAFETENSORS:
        file = read_torch_file(path, container)
        yield _torch_tensors(file, lambda ref: _copied(file, ref))
        return
    header = read_safetensors_header(path)
    with path.open("rb", buffering=0) as raw:
        yield _safetensors(path, header, lambda name: _read_one(raw, path, header.data_start, header.tensors[name]))


def _safetensors(path: Path, header: SafetensorsHeader, tensor: Callable[[str], torch.Tensor]) -> TensorFile:
    dtypes = {
        name: SAFETENSORS_DTYPES[entry.dtype]
        for name, entry in header.tensors.items()
        if entry.dtype in SAFETENSORS_DTYPES
    }
    return TensorFile(path, header.shapes, dtypes, header.metadata, tensor)


def _copied(file: TorchFile, ref: TensorRef) -> torch.Tensor:
    """A tensor of a mapped file in memory of its own; the pages it was read from are let go."""
    tensor = file.tensor(ref).clone()
    if hasattr(mmap, "MADV_DONTNEED"):
        file.layout.data.madvise(mmap.MADV_DONTNEED)
    return tensor


def _read_one(raw: FileIO, path: Path, data_start: int, entry: TensorEntry) -> torch.Tensor:
    memory = torch.empty(entry.end - entry.begin, dtype=torch.uint8)
    raw.seek(data_start + entry.begin)
    _fill(memory, raw, path)
    return _typed(memory, entry, path)


def _read_at_once(path: Path, header: SafetensorsHeader) -> Callable[[str], torch.Tensor]:
    """The way to the tensors of a file whose data part lies in memory from now on."""
    memory = torch.empty(max((entry.end for entry in header.tensors.values()), default=0), dtype=torch.uint8)
    with path.open("rb", buffering=0) as file:
        file.seek(header.data_start)
        _fill(memory, file, path)
    return lambda name: _window(memory, header.tensors[name], path)


def _fill(memory: torch.Tensor, file: FileIO, path: Path) -> None:
    place, begin = memory.numpy().data, 0
    while begin < len(place):
        count = file.readinto(place[begin:])
        if not count:
            raise CheckpointError(f"{path.name} became shorter while it was read; fetch it again.")
        begin += count


def _window(memory: torch.Tensor, entry: TensorEntry, path: Path) -> torch.Tensor:
    return _typed(memory[entry.begin : entry.end], entry, path)


def _typed(found: torch.Tensor, entry: TensorEntry, path: Path) -> torch.Tensor:
    """The bytes of a tensor as what they are."""
    dtype = SAFETENSORS_DTYPES.get(entry.dtype)
    if dtype is None:
        raise CheckpointError(f"{path.name} holds numbers of the type {entry.dtype}, which PyTorch lacks.")
    if found.storage_offset() % dtype.itemsize:
        found = found.clone()  # A tensor starts at a whole number of its elements.
    return found.view(dtype).view(entry.shape)


def _torch_tensors(file: TorchFile, read: Callable[[TensorRef], torch.Tensor]) -> TensorFile:
    """The tensors of a pickle: those of the dictionary in it that training calls its weights, else its top level."""
    refs = weights_in(file.layout)
    if refs is None:
        raise CheckpointError(f"{file.path.name} holds no dictionary of tensors; it is not a file of model weights.")
    shapes = {name: ref.shape for name, ref in refs.items()}
    dtypes = {name: torch_type(ref) for name, ref in refs.items()}
    return TensorFile(file.path, shapes, dtypes, {}, lambda name: read(refs[name]))
