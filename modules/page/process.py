"""What is known of the process that serves, for the System page: how its start went, and what it logged last."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from modules.settings.start_profile import StartProfile

LINES: Final = 200
WARNINGS: Final = 20


class ServerLog(logging.Handler):
    """Keeps the last lines of the log in memory, beside whatever else is done with them."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def tail(self) -> tuple[str, ...]:
        """The lines, oldest first."""
        return tuple(self._lines)


class Warned:
    """The last warnings of libraries and engine, numbered, so that a page can tell which ones it has shown."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._last: deque[tuple[int, str]] = deque(maxlen=WARNINGS)

    def tell(self, text: str) -> None:
        """Keep one; what was said before is not said again until others were."""
        if all(text != said for _, said in self._last):
            self._last.append((next(self._numbers), text))

    def last(self) -> list[tuple[int, str]]:
        """Number and text, oldest first."""
        return list(self._last)


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """The start's steps, the log, and what was warned of."""

    profile: StartProfile = field(default_factory=StartProfile)
    log: ServerLog = field(default_factory=ServerLog)
    warned: Warned = field(default_factory=Warned)
