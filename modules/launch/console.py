"""What the launcher prints: each step with the time it took."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def say(text: str) -> None:
    """One line, at once: pip's lines, which another process writes, must not overtake it."""
    print(text, flush=True)


def warn(text: str) -> None:
    """One line that a person should not miss."""
    print(f"Warning: {text}", file=sys.stderr, flush=True)


def hold_window(status: int) -> None:
    """Wait for a key, so that an error can be read where the terminal's window would close with this process.

    `webui-user.sh` says by WEBUI_WINDOW that there is one. 130 is an end by Ctrl+C.
    """
    if status in (0, 130) or not os.environ.get("WEBUI_WINDOW"):
        return
    warn(f"The web UI ended with status {status}; the reason stands above.")
    with suppress(EOFError, KeyboardInterrupt):
        input("Press Enter to close. ")


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print what is done, and then how long it took; whether it went well is for the caller to print."""
    say(f"{title} ...")
    start = time.monotonic()
    yield
    say(f"{title}: {duration(time.monotonic() - start)}")


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
