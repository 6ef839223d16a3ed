"""Infotext in EXIF: UserComment written as A1111 writes it, and read in every form found in the wild."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Final

_EXIF_IFD: Final = 0x8769
USER_COMMENT: Final = 0x9286
_MAKE_TO_DESCRIPTION: Final = (0x010E, 0x010F, 0x0110)
_ASCII, _LONG, _UNDEFINED = 2, 4, 7
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}
_TEXT_TYPES: Final = (1, 2, 7, 129)
_MOST_ENTRIES: Final = 1000


def user_comment_exif(text: str) -> bytes:
    """An EXIF block with nothing but `text` as UserComment: header `UNICODE` and UTF-16, big-endian.

    Not made by Pillow: it writes the field with type BYTE, which A1111's reader (piexif) does not take for text.
    """
    comment = b"UNICODE\0" + text.encode("utf-16-be", "replace")
    root = struct.pack(">H HHII I", 1, _EXIF_IFD, _LONG, 1, 26, 0)
    exif = struct.pack(">H HHII I", 1, USER_COMMENT, _UNDEFINED, len(comment), 44, 0)
    return b"Exif\0\0" + b"MM\0*" + struct.pack(">I", 8) + root + exif + comment


def exif_texts(block: bytes) -> dict[int, bytes]:
    """The raw bytes of UserComment and of the description, make and model fields (ComfyUI) of an EXIF block.

    Never raises: a block that is cut short or lies about its sizes gives what can be read.
    """
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return {}
    texts: dict[int, bytes] = {}
    for tag, kind, value, raw in _entries(block, order, _unpack(order + "I", block, 4)):
        if tag == _EXIF_IFD and len(raw) >= 4:
            inner = _entries(block, order, _unpack(order + "I", raw, 0))
            texts.update((t, v) for t, k, v, _ in inner if t == USER_COMMENT and k in _TEXT_TYPES)
        elif tag in (*_MAKE_TO_DESCRIPTION, USER_COMMENT) and kind in _TEXT_TYPES:
            texts[tag] = value
    return texts


def _unpack(form: str, data: bytes, offset: int) -> int:
    return int(struct.unpack_from(form, data, offset)[0])


def _entries(block: bytes, order: str, start: int) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Tag, type, value and the four bytes of the entry itself, of one directory."""
    if start + 2 > len(block):
        return
    for index in range(min(_unpack(order + "H", block, start), _MOST_ENTRIES)):
        entry = block[start + 2 + 12 * index : start + 14 + 12 * index]
        if len(entry) < 12:
            return
        tag, kind, count = struct.unpack_from(order + "HHI", entry)
        size = count * _SIZES.get(kind, 1)
        offset = _unpack(order + "I", entry, 8)
        yield tag, kind, entry[8 : 8 + size] if size <= 4 else block[offset : offset + size], entry[8:]


def decode_user_comment(raw: bytes) -> str:
    """The text of a UserComment, whatever its writer took for the standard.

    `UNICODE` with UTF-16 of either byte order (or, wrongly, UTF-8), `ASCII`, `JIS`, eight zero bytes, no header at all.
    """
    header, body = raw[:8], raw[8:]
    if header == b"UNICODE\0":
        return _decode_unicode(body)
    if header == b"JIS\0\0\0\0\0":
        return body.decode("iso2022_jp", "replace").strip("\0")
    if header not in (b"ASCII\0\0\0", b"\0" * 8):
        body = raw
    return _decode_unicode(body) if b"\0" in body.strip(b"\0") else body.decode("utf-8", "replace").strip("\0")


def _decode_unicode(body: bytes) -> str:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace").strip("\0")
    # Infotext always has many ASCII characters: their zero bytes show the byte order, and no zero byte means UTF-8.
    if b"\0" not in body.rstrip(b"\0"):
        with contextlib.suppress(UnicodeDecodeError):
            return body.decode("utf-8").strip("\0")
    big = body[0::2].count(0) >= body[1::2].count(0)
    return body.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\0")
