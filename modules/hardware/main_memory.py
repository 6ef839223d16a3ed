"""What the C library does with freed main memory: it reuses it for the next step on a CPU, and returns it to the system
once nothing is to be done.

The C library returns every large block at once and gets a new one for the next tensor, which the system clears page by
page: 800,000 page faults in one decode of 512², a tenth of its time (docs/performance.md, "Main memory").
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

# Parameters of glibc's mallopt(3), and what they are set to, in bytes: the largest an int holds where "never" is meant.
_TRIM_THRESHOLD: Final = -1, 2**31 - 1
_TOP_PAD: Final = -2, 64 * 2**20
_MMAP_THRESHOLD: Final = -3, 2**30


def keep_freed_memory() -> bool:
    """Have the C library reuse what tensors free, until `give_back_memory`. False where it offers no such setting."""
    mallopt = _from_glibc("mallopt")
    if mallopt is None:
        return False
    taken = [mallopt(parameter, value) for parameter, value in (_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD)]
    return all(taken)


def give_back_memory() -> None:
    """Hand back to the system what Python and the C library hold but nobody uses."""
    gc.collect()
    trim = _from_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _from_glibc(name: str) -> ctypes._NamedFuncPointer | None:
    """A function that glibc has; musl and other systems have none of that name, or one that does nothing."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
