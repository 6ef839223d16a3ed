"""Keeps one engine alive: starts it, follows how it is, and starts it again after its death."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from modules.jobs.engine_process import EngineEnded, EngineHandle, EngineNews, Launch
from modules.jobs.job import EngineStatus
from modules.protocol import CheckpointFailed, CheckpointLoaded, CheckpointLoading, EngineReady, MachineFacts
from modules.protocol.messages import Message

_log = logging.getLogger(__name__)

# Starts in vain after which the page says that the engine is stopped; it is still tried, at the longest pause.
STARTS_IN_VAIN: Final = 5


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait before something counts as broken."""

    startup: float = 300.0
    """Importing torch from a cold, slow disk takes minutes; more than this is a hang."""
    silence: float = 900.0
    """No event from an engine that runs a job: one step of a large picture on a slow processor may take minutes."""
    pauses: tuple[float, ...] = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)
    """Before the n-th start in a row that has not become ready yet."""
    farewell: float = 2.0
    """Seconds for the engine to end by itself after `Shutdown`: it has nothing to save, and torch takes its time."""


class Supervisor:
    """Owns the engine. All methods but `status` belong to the one thread that reads the inbox."""

    def __init__(
        self,
        launch: Launch,
        post: Callable[[EngineNews], None],
        changed: Callable[[EngineStatus], None],
        patience: Patience,
        tail: Callable[[], tuple[str, ...]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._launch = launch
        self._post = post
        self._changed = changed
        self._patience = patience
        self._tail = tail
        self._clock = clock
        self._engine: EngineHandle | None = None
        self._number = 0
        self._in_vain = 0
        self._start_at: float | None = None
        self._ready_by: float | None = None
        self._killed_because: str | None = None
        self._problem: str | None = None
        self.ready = False
        self._plain = self.status = EngineStatus("starting", "The engine is being started.")

    def start(self) -> None:
        """Launch an engine now. Failing to is treated like a death."""
        self._number += 1
        # An error that nobody foresaw brings no news of a death: it is tried again all the same.
        self._start_at = self._clock() + self._patience.pauses[-1]
        self._killed_because = None
        self._ready_by = self._clock() + self._patience.startup
        try:
            self._engine = self._launch(self._number, self._post)
        except OSError as error:
            self._start_at = None
            self._post(EngineEnded(self._number, f"it could not be started ({error})"))
            return
        self._start_at = None
        self._show(replace(self._plain, pid=self._engine.pid))

    def is_current(self, news: EngineNews) -> bool:
        """Whether news is of the engine that is alive, not of one that was given up."""
        return news.engine == self._number

    def heard(self, event: Message) -> None:
        """Follow what an event says about the engine itself."""
        status = self._plain
        match event:
            case EngineReady():
                self.ready = True
                self._in_vain = 0
                self._ready_by = None
                ready = EngineStatus("ready", _ready(event.hardware), hardware=event.hardware, pid=event.pid)
                self._show(ready)
            case MachineFacts():
                self._show(replace(status, facts=event))
            case CheckpointLoading():
                self._show(replace(status, state="loading", sentence=f"Loading {event.title}…", checkpoint_title=None))
            case CheckpointLoaded():
                self._show(
                    replace(
                        status,
                        state="ready",
                        sentence=_ready(status.hardware),
                        checkpoint_title=event.title,
                        width=event.width,
                        height=event.height,
                    )
                )
            case CheckpointFailed():
                self._show(replace(status, state="problem", sentence=event.cause, checkpoint_title=None))

    def cause(self, news: EngineEnded) -> str:
        """Why the engine ended: our own reason, where it was us."""
        return self._killed_because or news.cause

    def ended(self, news: EngineEnded) -> None:
        """Note a death and plan the next start."""
        cause = self.cause(news)
        self._engine = None
        self.ready = False
        self._ready_by = None
        pauses = self._patience.pauses
        self._start_at = self._clock() + pauses[min(self._in_vain, len(pauses) - 1)]
        self._in_vain += 1
        last = next((line for line in reversed(self._tail()) if line.strip()), "")
        _log.warning("The engine ended: %s. %s", cause, last)
        if self._in_vain > STARTS_IN_VAIN:
            sentence = f"The engine could not be started {self._in_vain} times in a row: {cause}."
            self._show(EngineStatus("stopped", f"{sentence} Its last line was: {last[:200]}" if last else sentence))
        else:
            self._show(EngineStatus("restarting", f"The engine ended: {cause}. It is being started again."))

    def send(self, command: Message) -> None:
        if self._engine is not None:
            self._engine.send(command)

    def kill(self, because: str) -> None:
        """End the engine at once; its death will carry this cause."""
        if self._engine is not None:
            self._killed_because = because
            self._engine.kill()

    def unloaded(self) -> None:
        """The checkpoint was given back."""
        status = replace(self._plain, checkpoint_title=None, width=None, height=None)
        # What was refused is no longer wanted.
        if status.state == "problem":
            status = replace(status, state="ready", sentence=_ready(status.hardware))
        self._show(status)

    def tick(self) -> None:
        """Do what is due: a planned start, or the end of patience with one."""
        now = self._clock()
        if self._start_at is not None and now >= self._start_at:
            self.start()
        elif self._ready_by is not None and now >= self._ready_by:
            self._ready_by = None
            self.kill(f"it was not ready {self._patience.startup:.0f} seconds after its start")

    def next_due(self) -> float | None:
        """Seconds until `tick` has something to do, or None."""
        due = [at for at in (self._start_at, self._ready_by) if at is not None]
        return max(0.0, min(due) - self._clock()) if due else None

    def close(self, sentence: str) -> None:
        """End the engine, kindly first, and say why."""
        self._start_at = self._ready_by = None
        if self._engine is not None:
            self._engine.close(self._patience.farewell)
        self._show(EngineStatus("stopped", sentence))

    def show_problem(self, sentence: str | None) -> None:
        """Say why the queue can't go on, in place of how the engine is; None once it can."""
        self._problem = sentence
        self._show(self._plain)

    def _show(self, status: EngineStatus) -> None:
        self._plain = status
        if self._problem is not None:
            status = replace(status, state="problem", sentence=self._problem)
        if status != self.status:
            self.status = status
            self._changed(status)


def _ready(hardware: str | None) -> str:
    return f"Ready: {hardware}."
