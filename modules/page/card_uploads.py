"""A LoRA that was dropped on the page goes into its folder: looked at before it is written, whole or not at all."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from modules.catalogue import ModelFileError, ModelKind, classify_tensors
from modules.catalogue.safetensors_header import MAX_HEADER_BYTES, SafetensorsHeader, parse_safetensors_header
from modules.files import SaveError, write_atomic_with

# What no file system takes in a name, what leads to another folder, and a dot at the start, which hides a file.
_BAD_NAME: Final = re.compile(r'[\x00-\x1f/\\:*?"<>|]|^\.|[. ]$')
_LONGEST_NAME: Final = 200
_LENGTH_BYTES: Final = 8


def store_lora(folder: Path, name: str, following: Callable[[], bytes]) -> Path:
    """Write a LoRA into `folder` under its own name; `following` gives one piece of it after the other, b"" at the end.

    Raises ModelFileError for what is no LoRA in a whole safetensors file, and SaveError, also where the name is taken.
    """
    if not name.lower().endswith(".safetensors") or _BAD_NAME.search(name) or len(name) > _LONGEST_NAME:
        raise ModelFileError(f"{name[:80]!r} can't be the name of a LoRA: it has to end in .safetensors.")
    path = folder / name
    pieces = iter(following, b"")
    begin, header = _head(path, pieces)
    kind = classify_tensors(header.tensors)
    if kind is not ModelKind.LORA:
        raise ModelFileError(f"{name} is not a LoRA, but {kind.value}.")
    whole = header.data_start + max((entry.end for entry in header.tensors.values()), default=0)
    try:
        write_atomic_with(path, lambda file: _copy(file, chain([begin], pieces), whole, name))
    except FileExistsError as error:
        raise SaveError(f"{name} was not saved: there is a LoRA of that name already.") from error
    return path


def _head(path: Path, pieces: Iterator[bytes]) -> tuple[bytes, SafetensorsHeader]:
    """What was read until the header was complete, and the header."""
    read = bytearray()

    def fill(wanted: int) -> None:
        while len(read) < wanted:
            piece = next(pieces, b"")
            if not piece:
                raise ModelFileError(f"{path.name} is not a safetensors file, or was cut off.")
            read.extend(piece)

    fill(_LENGTH_BYTES)
    (length,) = struct.unpack("<Q", read[:_LENGTH_BYTES])
    if length > MAX_HEADER_BYTES:
        raise ModelFileError(f"{path.name} is not a safetensors file, or was cut off.")
    fill(_LENGTH_BYTES + length)
    return bytes(read), parse_safetensors_header(bytes(read[_LENGTH_BYTES : _LENGTH_BYTES + length]), path)


def _copy(file: BinaryIO, pieces: Iterator[bytes], whole: int, name: str) -> None:
    written = 0
    for piece in pieces:
        written += file.write(piece)
    if written < whole:
        raise ModelFileError(f"{name} was cut off: it has {written:,} bytes of {whole:,}.")
