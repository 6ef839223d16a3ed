"""How the launcher ends, and what it has started with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

# For pip to take away what it has half unpacked.
GRACE_SECONDS = 5


def end_as_by_ctrl_c() -> None:
    """Handle SIGTERM and the end of the terminal as Ctrl+C. Call it from the main thread."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)


def end_tree(child: subprocess.Popen[Any]) -> None:
    """End a program that was started in a session of its own, and everything that it has started there."""
    _signal(child, "SIGTERM")
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)
    _signal(child, "SIGKILL")
    child.wait()


def _signal(child: subprocess.Popen[Any], name: str) -> None:
    with suppress(OSError):  # Nobody of them may be left.
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, getattr(signal, name))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
