"""Text made safe as one part of a path, on every system that a folder may be copied to."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

DEFAULT_LENGTH: Final = 128
# ext4, APFS, NTFS: bytes (on the last two, characters) of one name.
LONGEST_NAME: Final = 255

_INVALID: Final = str.maketrans(dict.fromkeys('#<>:"/\\|?*', "_") | {chr(code): "_" for code in (*range(32), 127)})
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|\Z)", re.IGNORECASE)


def sanitize(text: str, *, replace_spaces: bool = False, length: int = DEFAULT_LENGTH) -> str:
    """`text` without what a file system refuses: each such character becomes `_`.

    Leading blanks and trailing blanks and dots go, and so does what exceeds `length` characters. Lone surrogates and
    control characters that only steer the display (a reversed extension) become `_` as well.
    """
    if replace_spaces:
        text = text.replace(" ", "_")
    text = text.translate(_INVALID)
    if not text.isascii():
        text = "".join("_" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    return text.lstrip(" ")[:length].rstrip(" .")


def avoid_device(name: str) -> str:
    """`name`, with a `_` before it where Windows would take it for a device (`con`, `nul.png`, ...)."""
    return f"_{name}" if _DEVICE.match(name) else name


def fit(stem: str, tail: str, *, longest: int = LONGEST_NAME) -> str:
    """`stem + tail`, the stem cut so that the whole has at most `longest` bytes in UTF-8, between two characters."""
    room = max(0, longest - len(tail.encode("utf-8", "replace")))
    return stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore").rstrip(" .") + tail
