"""What a pickle wants remembered, found out before it is read.

A pickle numbers the values that it will need again. Python's reader has a list as long as the largest number: six bytes
that say "remember this as number 4,294,967,295" make it ask for 64 GiB. An honest writer counts from 0.
"""

import pickle
import pickletools
import struct
from typing import BinaryIO, Final

# Code, and the kind and length of its argument as pickletools has them.
_ARGUMENTS: Final = {
    code.code.encode("latin-1"): ("", 0) if code.arg is None else (code.arg.name, code.arg.n)
    for code in pickletools.opcodes
}
_LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: "<B",
    pickletools.TAKEN_FROM_ARGUMENT4: "<i",
    pickletools.TAKEN_FROM_ARGUMENT4U: "<I",
    pickletools.TAKEN_FROM_ARGUMENT8U: "<Q",
}
_LONGEST_LINE: Final = 1 << 20
_MOST_SKIPPED: Final = 1 << 62


def refuse_forged_memo(file: BinaryIO) -> None:
    """Look through one pickle from where the file stands, and put the file back there.

    Raises pickle.UnpicklingError for a number that is larger than the count of the pickle's operations, and for what is
    no pickle; EOFError or struct.error for one that is cut short. Takes no more memory than its longest line.
    """
    begin, count, largest = file.tell(), 0, -1
    while code := file.read(1):
        count += 1
        if code not in _ARGUMENTS:
            raise pickle.UnpicklingError("an operation that does not exist")
        argument = _argument(file, *_ARGUMENTS[code])
        match code:
            case b"p":
                largest = max(largest, int(argument))
            case b"q" | b"r":
                largest = max(largest, int.from_bytes(argument, "little"))
            case b".":
                break
    else:
        raise EOFError
    if largest > count:
        raise pickle.UnpicklingError("a memo larger than the pickle")
    file.seek(begin)


def _argument(file: BinaryIO, kind: str, length: int) -> bytes:
    """An operation's argument; empty where it is a text of a length that stands before it, which is skipped."""
    if length >= 0:
        return file.read(length)
    if length == pickletools.UP_TO_NEWLINE:
        return b"".join(_line(file) for _ in range(2 if kind.endswith("_pair") else 1))
    (size,) = struct.unpack(_LENGTHS[length], file.read(struct.calcsize(_LENGTHS[length])))
    if not 0 <= size < _MOST_SKIPPED:
        raise pickle.UnpicklingError("a text of an impossible length")
    file.seek(size, 1)
    return b""


def _line(file: BinaryIO) -> bytes:
    line = file.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise pickle.UnpicklingError("a line without an end")
    return line
