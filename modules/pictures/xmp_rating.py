"""The rating of a picture in its own file, as XMP's `xmp:Rating`, which file managers and Lightroom read and write.

By ISO 16684-1 and XMP's part 3 (storage in files), PNG, JPEG's APP1 and WebP's container. Only the packet is added or
changed: every other byte of pixels and texts stays.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from modules.pictures.opening import PictureError

RATINGS: Final = range(6)
_NAMESPACE: Final = b"http://ns.adobe.com/xap/1.0/"
_RATING: Final = re.compile(rb"""(\bx[ma]p:Rating\s*=\s*["']\s*|<x[ma]p:Rating>\s*)(-?\d{1,3}(?:\.\d{1,6})?)""")
_DESCRIPTION: Final = re.compile(rb"<rdf:Description\b[^<>]*?(?=/?>)")
_PACKET: Final = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEY: Final = b"XML:com.adobe.xmp\0"
_JPEG_KEY: Final = b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST: Final = 10_000_000
_LONGEST_SEGMENT: Final = 65_533
_VP8X_XMP, _VP8X_ALPHA = 0x04, 0x10


def rating_in(packet: object) -> int:
    """The rating from 1 to 5 that an XMP packet names; 0 for none."""
    raw = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
    found = _RATING.search(raw[:_LONGEST]) if isinstance(raw, bytes) else None
    rating = round(float(found[2])) if found is not None else 0
    return rating if rating in RATINGS else 0


def with_rating(data: bytes, rating: int) -> bytes:
    """The picture file `data` with this rating, 0 to 5. Raises PictureError where it can't hold one."""
    try:
        if data.startswith(_PNG):
            return _png(data, rating)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data, rating)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data, rating)
    except PictureError:
        raise
    except (struct.error, IndexError, ValueError, OverflowError, zlib.error) as error:
        raise PictureError("the file is damaged") from error
    raise PictureError("only PNG, JPEG and WebP files hold a rating")


def _packet(old: bytes | None, rating: int) -> bytes:
    packet, number = old or _PACKET, str(rating).encode()
    if _RATING.search(packet):
        return _RATING.sub(rb"\g<1>" + number, packet, count=1)
    found = _DESCRIPTION.search(packet)
    if found is None:
        raise PictureError("its XMP can't be read")
    declared = b"" if b"xmlns:xmp=" in packet else b' xmlns:xmp="' + _NAMESPACE + b'"'
    return packet[: found.end()] + declared + b' xmp:Rating="' + number + b'"' + packet[found.end() :]


def _png(data: bytes, rating: int) -> bytes:
    chunks, place = list[tuple[bytes, bytes]](), len(_PNG)
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        whole = data[place : place + length + 12]
        chunks.append((kind, whole))
        place += length + 12
        if kind == b"IEND" or len(whole) < length + 12:
            break
    if not any(kind == b"IDAT" for kind, _ in chunks):
        raise PictureError("the file is damaged")
    parts, written = [_PNG], False
    for kind, whole in chunks:
        is_packet = kind == b"iTXt" and whole[8:].startswith(_PNG_KEY)
        if not written and (is_packet or kind == b"IDAT"):
            body = _PNG_KEY + b"\0\0\0\0" + _packet(_png_packet(whole[8:-4]) if is_packet else None, rating)
            parts.append(struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body)))
            written = True
        if not is_packet:
            parts.append(whole)
    return b"".join(parts) + data[place:]


def _png_packet(body: bytes) -> bytes:
    compressed, rest = body[len(_PNG_KEY)], body[len(_PNG_KEY) + 2 :]
    text = rest.split(b"\0", 2)[2]
    return zlib.decompressobj().decompress(text, _LONGEST) if compressed else text


def _jpeg(data: bytes, rating: int) -> bytes:
    place = insert = 2
    start, end, old = 0, 0, None
    while data[place] == 0xFF and data[place + 1] not in (0xDA, 0xD9):
        (length,) = struct.unpack_from(">H", data, place + 2)
        kind, body = data[place + 1], data[place + 4 : place + 2 + length]
        if kind == 0xE2 and body.startswith(b"MPF\0"):
            raise PictureError("it holds several pictures, whose places would no longer be right")
        if kind == 0xE1 and body.startswith(_JPEG_KEY) and old is None:
            start, end, old = place, place + 2 + length, body[len(_JPEG_KEY) :]
        place += 2 + length
        if kind == 0xE0 or (kind == 0xE1 and body.startswith(b"Exif\0")):
            insert = place
    if old is None:
        start = end = insert
    body = _JPEG_KEY + _packet(old, rating)
    if len(body) > _LONGEST_SEGMENT:
        raise PictureError("its XMP has no room left")
    return data[:start] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[end:]


def _webp(data: bytes, rating: int) -> bytes:
    (size,) = struct.unpack_from("<I", data, 4)
    chunks = list(_riff(data[12 : 8 + size]))
    kind, body = chunks[0]
    if kind == b"VP8X":
        chunks[0] = (kind, bytes([body[0] | _VP8X_XMP]) + body[1:])
    elif kind in (b"VP8 ", b"VP8L"):
        chunks.insert(0, (b"VP8X", _vp8x(kind, body)))
    else:
        raise PictureError("the file is damaged")
    old = next((body for kind, body in chunks if kind == b"XMP "), None)
    chunks = [(kind, body) for kind, body in chunks if kind != b"XMP "]
    chunks.append((b"XMP ", _packet(old, rating)))
    inner = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", len(inner)) + inner + data[8 + size :]


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 8 + length]
        if len(body) < length:
            raise PictureError("the file is damaged")
        yield kind, body
        place += 8 + length + length % 2


def _vp8x(kind: bytes, body: bytes) -> bytes:
    """The header of an extended file for a picture of a simple one."""
    flags = _VP8X_XMP
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF
        flags |= _VP8X_ALPHA if bits >> 28 & 1 else 0
    else:
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        width, height = width - 1, height - 1
    return bytes([flags, 0, 0, 0]) + width.to_bytes(3, "little") + height.to_bytes(3, "little")
