"""Progress bars in the terminal: of the pass that is being made, and of the whole job. On a terminal only."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TextIO

from modules.jobs.job import JobChanged
from modules.jobs.subscriptions import Subscription
from modules.protocol import StepDone

# Seconds between two drawings: a terminal over the network is slower than a few steps.
_PAUSE: Final = 0.1
# Letters of a bar, and of one where the terminal is narrow.
_BAR: Final = 20
_SHORT_BAR: Final = 8
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_PLAIN: Final = " #"


@dataclass(frozen=True, slots=True)
class _Pace:
    """Since when, and from which share on, something goes forward."""

    began: float
    share: float

    def times(self, share: float, now: float) -> str:
        """How long it took, and how long it will yet, as `00:04<00:05`."""
        gone = now - self.began
        left = gone / (share - self.share) * (1 - share) if share > self.share else None
        return f"{_clock(gone)}<{'?' if left is None else _clock(left)}"


class ConsoleProgress:
    """Draws the events of a subscription on one line that is written over and over; a log line takes its place."""

    def __init__(
        self,
        events: Subscription,
        stream: TextIO,
        *,
        whole_job: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events, self._stream, self._clock = events, stream, clock
        self._whole_job = whole_job
        self._blocks = _BLOCKS if _writes(stream, _BLOCKS) else _PLAIN
        self._lock = threading.Lock()
        self._shown = ""
        self._drawn = 0.0
        self._late = False
        self._last: StepDone | None = None
        self._pass = self._job = _Pace(0.0, 0.0)

    def start(self) -> None:
        """Draw until the subscription is closed, on a thread of its own."""
        threading.Thread(target=self._follow, name="console", daemon=True).start()

    def before_log(self, _: logging.LogRecord) -> bool:
        """A filter for a handler that writes to the same terminal: it lets everything pass."""
        with self._lock:
            self._write("")
        return True

    def _follow(self) -> None:
        # A terminal that is gone needs no bars.
        with suppress(OSError, ValueError):
            for _, event in self._events:
                if isinstance(event, StepDone):
                    self._step(event)
                elif isinstance(event, JobChanged) and event.job.ended and self._last is not None:
                    self._end()

    def _step(self, event: StepDone) -> None:
        now = self._clock()
        last = self._last
        if last is None or last.job_id != event.job_id:
            self._job, self._drawn = _Pace(now, event.fraction), 0.0
        if last is None or (last.job_id, last.batch, last.steps) != (event.job_id, event.batch, event.steps):
            self._pass = _Pace(now, event.step / max(1, event.steps))
        elif event.step < last.step:
            self._pass = replace(self._pass, began=now, share=event.step / max(1, event.steps))
        self._last = event
        self._late = now - self._drawn < _PAUSE and event.step != event.steps
        if not self._late:
            self._draw(event, now)

    def _draw(self, event: StepDone, now: float) -> None:
        self._drawn = now
        columns = _columns(self._stream)
        # As long as there is room for: a quick job's numbers take more of it.
        texts = (self._text(event, now, length) for length in (_BAR, *range(_SHORT_BAR, 0, -1)))
        text = next((text for text in texts if len(text) < columns), self._text(event, now, _SHORT_BAR))
        with self._lock:
            self._write(text[: columns - 1])

    def _text(self, event: StepDone, now: float, length: int) -> str:
        share = event.step / max(1, event.steps)
        gone = now - self._pass.began
        done = event.step - self._pass.share * event.steps
        pace = f", {done / gone:.2f}it/s" if gone > 0 and done > 0 else ""
        times = self._pass.times(share, now)
        text = f"{_bar(share, self._blocks, length)} {event.step}/{event.steps} [{times}{pace}]"
        if not self._whole_job():
            return text
        whole = _bar(event.fraction, self._blocks, length)
        return f"{text}  Total progress: {whole} [{self._job.times(event.fraction, now)}]"

    def _end(self) -> None:
        """The last state stays where it is, as the bars of other programs do."""
        if self._last is not None and self._late:
            self._draw(self._last, self._clock())
        self._last = None
        with self._lock:
            if self._shown:
                self._stream.write("\n")
                self._stream.flush()
                self._shown = ""

    def _write(self, text: str) -> None:
        if not text and not self._shown:
            return
        # Spaces, not an escape sequence: every terminal knows them.
        end = "" if text else "\r"
        self._stream.write(f"\r{text.ljust(len(self._shown))}{end}")
        self._stream.flush()
        self._shown = text


def _bar(share: float, blocks: str, length: int) -> str:
    """A share as a number and a bar of so many letters; `blocks` goes from the empty one to the full one."""
    steps = len(blocks) - 1
    whole, part = divmod(round(min(max(share, 0.0), 1.0) * length * steps), steps)
    drawn = blocks[-1] * whole + (blocks[part] if whole < length else "")
    return f"{share:4.0%}|{drawn.ljust(length)}|"


def _columns(stream: TextIO) -> int:
    return os.get_terminal_size(stream.fileno()).columns or 80


def _writes(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
