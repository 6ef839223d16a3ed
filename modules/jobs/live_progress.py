"""The running job's progress in memory: one thread writes it, any thread reads a whole value."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from modules.protocol import Preview, StepDone


@dataclass(frozen=True, slots=True)
class Live:
    """A moment of the running job. Times are of the monotonic clock."""

    job_id: str
    fraction: float = 0.0
    step: int = 0
    steps: int = 0
    batch: int = 0
    first_step: tuple[float, float] | None = None
    last_step: float | None = None
    preview: bytes | None = None
    preview_mime: str | None = None
    preview_serial: int = 0
    interrupted: bool = False
    stopping: bool = False
    """Whether it ends after the picture under way, by request."""

    def eta(self, now: float) -> float | None:
        """Seconds until the job is done, from the pace since its first step; None before there is a pace."""
        if self.first_step is None or self.last_step is None:
            return None
        began, at = self.first_step
        if self.fraction <= at:
            return None
        left = (self.last_step - began) / (self.fraction - at) * (1 - self.fraction)
        return max(0.0, left - (now - self.last_step))


class LiveProgress:
    """Holds the `Live` of the job that runs, or None. Reading takes no lock: the value is replaced as a whole."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._live: Live | None = None

    def begin(self, job_id: str) -> None:
        self._live = Live(job_id)

    def end(self) -> None:
        self._live = None

    def step(self, message: StepDone) -> None:
        if (live := self._live) is not None:
            now = self._clock()
            self._live = replace(
                live,
                fraction=message.fraction,
                step=message.step,
                steps=message.steps,
                batch=message.batch,
                # The first step is left out of the pace: it carries warm-up that does not come again.
                first_step=live.first_step or (now, message.fraction),
                last_step=now,
            )

    def preview(self, message: Preview) -> None:
        if (live := self._live) is not None:
            self._live = replace(
                live, preview=message.blobs[0], preview_mime=message.mime, preview_serial=live.preview_serial + 1
            )

    def stopping(self, *, after_image: bool) -> None:
        """The job is to end, at once or after the picture under way."""
        if (live := self._live) is not None:
            self._live = replace(
                live, interrupted=live.interrupted or not after_image, stopping=live.stopping or after_image
            )

    def of(self, job_id: str) -> tuple[Live, float | None] | None:
        """The progress of `job_id` and its ETA in seconds, if that job runs."""
        live = self._live
        if live is None or live.job_id != job_id:
            return None
        return live, live.eta(self._clock())
