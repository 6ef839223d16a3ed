"""What the engine prints: in a log file of bounded size, and the last lines in memory."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Final

LINES: Final = 200
MEGABYTES: Final = 5
LONGEST_LINE: Final = 4000


class EngineLog:
    """Copies an engine's output, line by line, to `folder`/engine.log and its two predecessors."""

    def __init__(self, folder: Path) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)
        self._handler: logging.Handler = logging.NullHandler()
        # Without a place for the log there is no log; that is no reason to make no pictures.
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._handler = RotatingFileHandler(
                folder / "engine.log", maxBytes=MEGABYTES * 2**20, backupCount=2, encoding="utf-8", delay=True
            )
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def copy(self, output: IO[bytes]) -> None:
        """Copy until the output ends. Runs on a thread of its own."""
        with output:
            while raw := output.readline(LONGEST_LINE):
                line = raw.decode("utf-8", "replace").rstrip()
                self._lines.append(line)
                self._handler.handle(logging.LogRecord("engine", logging.INFO, "", 0, line, None, None))

    def tail(self, count: int = LINES) -> tuple[str, ...]:
        """The last lines that were printed, oldest first."""
        return tuple(self._lines)[-count:]

    def close(self) -> None:
        self._handler.close()
