"""The texts of a PNG file, read from its chunks: those behind the pixels too, without decoding a pixel.

Chunk layout: PNG specification, third edition, 5.3 and 11.3.3.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# Of all texts of a file together, inflated: a prompt of a million characters fits many times.
_MOST_TEXT: Final = 64 * 2**20
_CRC: Final = 4
_TEXT_CHUNKS: Final = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")


class TooMuchTextError(ValueError):
    """The texts of a file take more memory than any honest file needs."""


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each chunk that holds a text or EXIF, in the order of the file; `IDAT` with no content.

    Ends without an error where the file is cut short or no chunk follows. Raises TooMuchTextError, OSError.
    """
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        return
    size = file.seek(0, 2)
    file.seek(len(_SIGNATURE))
    room = _MOST_TEXT
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IEND" or not kind.isalpha() or length > size - file.tell():
            return
        if kind in _TEXT_CHUNKS:
            room -= length
            if room < 0:
                raise TooMuchTextError("its texts are too long")
            yield kind, file.read(length)
            file.seek(_CRC, 1)
        else:
            if kind == b"IDAT":
                yield kind, b""
            file.seek(length + _CRC, 1)


def png_texts(source: BinaryIO | Path) -> tuple[dict[str, str], dict[str, str], bytes]:
    """Texts before the pixels, texts behind them, and the EXIF block that stands behind them (empty if none does).

    A tEXt chunk is Latin-1 by the standard; where its bytes are valid UTF-8 they are read as what its writer meant.
    Of two texts with one key the later one counts. Raises TooMuchTextError, OSError.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return png_texts(file)
    before: dict[str, str] = {}
    behind: dict[str, str] = {}
    exif = b""
    texts, room = before, _MOST_TEXT
    for kind, content in png_chunks(source):
        if kind == b"IDAT":
            texts = behind
        elif kind == b"eXIf":
            exif = content if texts is behind else exif
        elif text := _text(kind, content, room):
            room -= len(text[1])
            texts[text[0]] = text[1]
    return before, behind, exif


def _text(kind: bytes, content: bytes, room: int) -> tuple[str, str] | None:
    """Key and text of a chunk; None where it does not hold what its type promises."""
    raw_key, zero, rest = content.partition(b"\0")
    key = raw_key.decode("latin-1")
    if not zero or not key:
        return None
    if kind == b"tEXt":
        return key, _utf8_or_latin1(rest)
    if kind == b"zTXt":
        inflated = _inflated(rest[1:], room)
        return None if inflated is None else (key, _utf8_or_latin1(inflated))
    # iTXt: compression flag and method, then language and translated key, each ended by a zero.
    fields = rest[2:].split(b"\0", 2)
    if len(fields) < 3:
        return None
    data = _inflated(fields[2], room) if rest[:1] == b"\1" else fields[2]
    return None if data is None else (key, data.decode("utf-8", "replace"))


def _utf8_or_latin1(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _inflated(data: bytes, room: int) -> bytes | None:
    """The inflated `data`, cut short data included; None for what is not deflated. Raises TooMuchTextError."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, room + 1)
    except zlib.error:
        return None
    if len(found) > room:
        raise TooMuchTextError("its texts are too long")
    return found
