"""What is known of the process that serves, for the System page: how its start went, and what it logged last."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from modules.settings.start_profile import StartProfile

LINES: Final = 200


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


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """The start's steps, and the log."""

    profile: StartProfile = field(default_factory=StartProfile)
    log: ServerLog = field(default_factory=ServerLog)
