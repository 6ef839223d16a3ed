"""Modules that are constructed without memory for their parameters, in the thread that wants them so.

accelerate's `init_empty_weights` does the same for the whole process: a thread that constructed a module meanwhile
would get it without weights, and of two threads within it the second would leave every later module so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from torch import nn


class _Wanted(threading.local):
    """How many contexts the present thread is within."""

    depth = 0


_wanted: Final = _Wanted()
_lock: Final = threading.Lock()
# How many contexts there are in all threads: the first exchanges the method and the last puts it back.
_contexts: Final = [0]
_register: Final = nn.Module.register_parameter


def _register_empty(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
    _register(module, name, param)
    if param is not None and _wanted.depth:
        module._parameters[name] = nn.Parameter(param.to("meta"), requires_grad=param.requires_grad)


@contextmanager
def empty_weights() -> Iterator[None]:
    """Within it parameters of new modules lie on the device "meta" and cost nothing; buffers are as ever."""
    with _lock:
        _contexts[0] += 1
        type.__setattr__(nn.Module, "register_parameter", _register_empty)
    _wanted.depth += 1
    try:
        yield
    finally:
        _wanted.depth -= 1
        with _lock:
            _contexts[0] -= 1
            if not _contexts[0]:
                type.__setattr__(nn.Module, "register_parameter", _register)
