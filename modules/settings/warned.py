"""Python's warnings of this process, passed on to whoever reports them: libraries speak through them."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import Final

# As `warnings` formats one: where, of which kind, what, and then the line of code.
_WARNING: Final = re.compile(r"^.*?:\d+: (\w+: .*)$", re.MULTILINE)


class HeardWarnings(logging.Handler):
    """Takes every warning that Python would print, which goes on to the log as well."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        found = _WARNING.search(text)
        self._report(found.group(1) if found else text.strip())

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hears them while the block runs."""
        logger = logging.getLogger("py.warnings")
        logging.captureWarnings(True)
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
            logging.captureWarnings(False)
