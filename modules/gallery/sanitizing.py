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
    return replace_invalid(text).lstrip(" ")[:length].rstrip(" .")


def replace_invalid(text: str) -> str:
    """`text` at its full length, each character that a file system refuses or a display obeys as `_`."""
    text = text.translate(_INVALID)
    if text.isascii():
        return text
    return "".join("_" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text)


def avoid_device(name: str) -> str:
    """`name`, with a `_` before it where Windows would take it for a device (`con`, `nul.png`, ...)."""
    return f"_{name}" if _DEVICE.match(name) else name
