"""Modules that are constructed without memory for their parameters, by one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from accelerate.big_modeling import init_empty_weights

_ALONE: Final = threading.RLock()


@contextmanager
def empty_weights() -> Iterator[None]:
    """Within it parameters cost nothing. accelerate exchanges a method of every module for that: of two threads that
    did so at once the second would put the first one's back for good.
    """
    with _ALONE, init_empty_weights():
        yield
