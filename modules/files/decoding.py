"""The text of a file that somebody's editor saved."""

import codecs
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STRAY_BYTES: Final = "windows-1252-bytes"


def decoded(data: bytes) -> str:
    """By its byte order mark, else UTF-8, stray bytes as Windows programs of the West mean them. Never fails.

    A stray byte changes itself alone: what is UTF-8 before and behind it stays what it is, and no byte is lost.
    """
    mark, encoding = next((known for known in _MARKS if data.startswith(known[0])), (b"", "utf-8"))
    return data[len(mark) :].decode(encoding, _STRAY_BYTES if encoding == "utf-8" else "replace")


def is_plain(data: bytes) -> bool:
    """Whether `data` is UTF-8 throughout, so that UTF-8 may be appended to it."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _as_windows_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    # The five bytes that Windows gives no meaning become the control characters of their number.
    return "".join(map(_windows_character, stray)), error.end


def _windows_character(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


codecs.register_error(_STRAY_BYTES, _as_windows_bytes)
