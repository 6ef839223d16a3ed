"""The header of a .safetensors file, read and checked without touching a tensor byte.

Layout (safetensors format, github.com/huggingface/safetensors): 8 bytes little-endian header length N, N bytes of JSON
`{name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__": {str: str}}`, then the data part.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.model_errors import ModelFileError
from modules.files import is_text
from modules.parameters.infotext_values import printable

MAX_HEADER_BYTES: Final = 100_000_000
_METADATA_BYTES: Final = 1 << 16
DTYPE_BITS: Final[Mapping[str, int]] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as the header describes it; `begin` and `end` are byte offsets in the data part."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A header that was found consistent: tensors, metadata, and where in the file the data part starts."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_start: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: entry.shape for name, entry in self.tensors.items()}


def read_safetensors_header(path: Path) -> SafetensorsHeader:
    """Read and check a header.

    Raises:
        ModelFileError: not a safetensors file, a malformed header, or a data part shorter than the header says.
        OSError: the file can't be opened or read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise ModelFileError(f"{path.name} is only {size} bytes long; the download was cut off, fetch it again.")
        (length,) = struct.unpack("<Q", prefix)
        if length > MAX_HEADER_BYTES:
            raise _malformed(path, f"it claims a header of {length} bytes")
        if 8 + length > size:
            raise _truncated(path, size, 8 + length)
        raw = file.read(length)
    header = parse_safetensors_header(raw, path)
    needed = header.data_start + max((entry.end for entry in header.tensors.values()), default=0)
    if needed > size:
        raise _truncated(path, size, needed)
    return header


def read_safetensors_metadata(path: Path) -> dict[str, str]:
    """The `__metadata__` alone; {} for any other kind of file.

    Writers put it first, so listing a folder of checkpoints reads a few bytes of each instead of every header.

    Raises:
        ModelFileError: the header is malformed.
        OSError: the file can't be opened or read.
    """
    with path.open("rb") as file:
        head = file.read(_METADATA_BYTES)
    start = re.match(rb"\s*\{\s*\"__metadata__\"\s*:\s*", head[8:])
    if start is not None:
        text = head[8 + start.end() :].decode("utf-8", errors="replace")
        try:
            metadata, _ = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            metadata = None  # longer than what was read; the whole header is needed
        if isinstance(metadata, dict):
            return _texts(metadata)
    return dict(read_safetensors_header(path).metadata) if head[8:9] == b"{" else {}


def parse_safetensors_header(raw: bytes, path: Path) -> SafetensorsHeader:
    """Check the JSON part of a header; `path` only names the file in errors."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, "its header is not JSON") from error
    if not isinstance(document, dict):
        raise _malformed(path, "its header is not a JSON object")
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _malformed(path, "its __metadata__ is not an object")
    if not is_text("".join(document)):
        raise _malformed(path, "the name of a tensor is no text")
    tensors = {name: _entry(path, name, value) for name, value in document.items()}
    return SafetensorsHeader(tensors, _texts(metadata), 8 + len(raw))


def _texts(metadata: Mapping[str, object]) -> dict[str, str]:
    """What metadata may hold, as it can be sent and stored: JSON can write half of a character."""
    return {printable(key): printable(value) for key, value in metadata.items() if isinstance(value, str)}


def _entry(path: Path, name: str, value: object) -> TensorEntry:
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise _malformed(path, f"the entry of {name[:80]!r} lacks dtype, shape or data_offsets")
    if dtype not in DTYPE_BITS:
        raise _malformed(path, f"{name[:80]!r} has the unknown dtype {dtype[:20]!r}")
    if not all(type(extent) is int and 0 <= extent < 2**48 for extent in shape):
        raise _malformed(path, f"{name[:80]!r} has an impossible shape")
    if not 0 <= begin <= end or (end - begin) * 8 != math.prod(shape) * DTYPE_BITS[dtype]:
        raise _malformed(path, f"the byte range of {name[:80]!r} does not fit its shape")
    return TensorEntry(dtype, tuple(shape), begin, end)


def _malformed(path: Path, why: str) -> ModelFileError:
    return ModelFileError(f"{path.name} is not a readable safetensors file: {why}; fetch it again from its source.")


def _truncated(path: Path, size: int, needed: int) -> ModelFileError:
    return ModelFileError(
        f"{path.name} is truncated: it has {size:,} bytes but its header describes {needed:,}; fetch it again."
    )
