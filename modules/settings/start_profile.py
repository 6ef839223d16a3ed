"""How long each step of the start took, for --log-startup, the System page and /internal/profile-startup."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class StartProfile:
    """Seconds by step, in the order in which they ended. With `logged` each step is logged as it ends."""

    def __init__(self, *, logged: bool = False) -> None:
        self._logged = logged
        self._begun = time.perf_counter()
        self.records: dict[str, float] = {}
        self.total = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        begun = time.perf_counter()
        yield
        self._add(name, time.perf_counter() - begun)

    def _add(self, name: str, seconds: float) -> None:
        self.records[name] = self.records.get(name, 0.0) + seconds
        self.total = time.perf_counter() - self._begun
        if self._logged:
            log.info("Start: %s took %.2f s, %.2f s since the start.", name, seconds, self.total)
