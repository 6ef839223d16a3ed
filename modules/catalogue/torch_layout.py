"""PyTorch's file formats, zip and legacy: where each storage lies, and the pickled object over them.

Nothing is decompressed (PyTorch stores its entries as they are), so no small file can unfold into a large one, and
storages are windows into the mapped file until they are copied.
"""

import io
import mmap
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.kinds import Container
from modules.catalogue.model_errors import ModelFileError, UnsafePickleError
from modules.catalogue.unpickle import unpickle

_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001
_MAX_PICKLE_BYTES: Final = 256_000_000


@dataclass(frozen=True, slots=True)
class TorchLayout:
    """Where everything lies in a PyTorch file: its object, in which tensors are `TensorRef`, and their storages."""

    path: Path
    content: object
    data: mmap.mmap
    begins: Mapping[str, int]
    """Byte offset of each storage."""


def read_torch_layout(path: Path, container: Container, *, bound_methods: bool = False) -> TorchLayout:
    """Read the object of a PyTorch file of either form; no tensor's data is read. `bound_methods` is `unpickle`'s.

    Raises:
        UnsafePickleError: it contains code: a payload in its pickle, or a TorchScript program.
        ModelFileError: it is truncated, damaged, or not PyTorch's.
    """
    if container is Container.TORCH_ZIP:
        return _read_zip(path, bound_methods=bound_methods)
    return _read_legacy(path, bound_methods=bound_methods)


def _read_zip(path: Path, *, bound_methods: bool) -> TorchLayout:
    """A file written by `torch.save` since 1.6."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
        raise truncated(path) from error
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("data.pkl") and name.count("/") <= 1]
    if not roots:
        raise ModelFileError(f"{path.name} is a zip archive without a model (no data.pkl); if it holds one, unpack it.")
    root = roots[0]
    if root + "constants.pkl" in entries:
        raise UnsafePickleError(f"{path.name} was refused: it is a TorchScript program (code), not a file of weights.")
    data = _mapped(path)
    begins = {
        name.removeprefix(root + "data/"): _stored_at(path, info, data)
        for name, info in entries.items()
        if name.startswith(root + "data/") or name in (root + "data.pkl", root + "byteorder")
    }
    order = entries.get(root + "byteorder")
    order_begin = begins.get(root + "byteorder", 0)
    if order is not None and data[order_begin : order_begin + order.file_size].strip() == b"big":
        raise ModelFileError(f"{path.name} was written on a big-endian machine, which can't be read here.")
    pickled, size = begins[root + "data.pkl"], entries[root + "data.pkl"].file_size
    if size > _MAX_PICKLE_BYTES:
        raise ModelFileError(
            f"{path.name} has a pickle of {size:,} bytes, far too large for a model's list of tensors."
        )
    content, _ = unpickle(io.BytesIO(data[pickled : pickled + size]), path.name, bound_methods=bound_methods)
    return TorchLayout(path, content, data, begins)


def _read_legacy(path: Path, *, bound_methods: bool) -> TorchLayout:
    """A file written by `torch.save` before 1.6."""
    with path.open("rb") as file:
        if unpickle(file, path.name)[0] != _LEGACY_MAGIC or unpickle(file, path.name)[0] != _LEGACY_PROTOCOL:
            raise ModelFileError(f"{path.name} is a Python pickle, but not one that PyTorch wrote.")
        unpickle(file, path.name)  # sizes of C types on the writer's machine
        content, dtypes = unpickle(file, path.name, bound_methods=bound_methods)
        keys, _ = unpickle(file, path.name)
        position = file.tell()
    if not isinstance(keys, list):
        raise ModelFileError(f"{path.name} is a damaged PyTorch file (no list of storages); fetch it again.")
    data = _mapped(path)
    begins: dict[str, int] = {}
    for key in keys:
        if position + 8 > len(data):
            raise truncated(path)
        (count,) = struct.unpack_from("<q", data, position)
        if key not in dtypes or count < 0:
            raise ModelFileError(f"{path.name} is a damaged PyTorch file (storage {str(key)[:20]!r}); fetch it again.")
        begins[key] = position + 8
        position += 8 + count * dtypes[key].itemsize
    if position > len(data):
        raise truncated(path)
    return TorchLayout(path, content, data, begins)


def _stored_at(path: Path, info: zipfile.ZipInfo, data: mmap.mmap) -> int:
    """The byte at which an entry's content begins: behind its local header, whose length only the header has."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise ModelFileError(f"{path.name} is a repacked (compressed) archive; unpack it or fetch the original file.")
    start = info.header_offset
    if start < 0 or start + 30 > len(data) or data[start : start + 4] != b"PK\x03\x04":
        raise truncated(path)
    name_length, extra_length = struct.unpack_from("<HH", data, start + 26)
    begin = int(start + 30 + name_length + extra_length)
    if begin + info.file_size > len(data):
        raise truncated(path)
    return begin


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def truncated(path: Path) -> ModelFileError:
    return ModelFileError(f"{path.name} is truncated or damaged; fetch it again from its source.")
