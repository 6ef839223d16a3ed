"""Events fanned out to whoever watches: bounded per watcher, and a slow one loses previews before anything else."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

from modules.jobs.job import EngineChanged, ImageSaved, JobChanged, QueueChanged
from modules.protocol import Notice, Preview, StepDone

_log = logging.getLogger(__name__)

JobEvent = JobChanged | ImageSaved | EngineChanged | QueueChanged | StepDone | Preview | Notice
Delivered = tuple[str | None, JobEvent]

BOUND: Final = 512
# What a later event of the same kind makes worthless, in the order in which it may be dropped.
_DROPPABLE: Final[tuple[type[JobEvent], ...]] = (Preview, StepDone)


class Subscription:
    """The events of one watcher, each with its job's id (None when it concerns no single job).

    Iterate over it (blocks), or call `poll` (never blocks) when `wake` was called. A watcher that falls behind by more
    than the bound of events that may not be lost is closed with `lagged` set: it reads the jobs and subscribes anew.
    """

    def __init__(self, leave: Callable[[Subscription], None], wake: Callable[[], None] | None, bound: int) -> None:
        self._leave = leave
        self._wake = wake
        self._bound = bound
        self._events: deque[Delivered] = deque()
        self._changed = threading.Condition()
        self.closed = False
        self.lagged = False

    def put(self, job_id: str | None, event: JobEvent) -> None:
        """Deliver one event. Called by the hub."""
        with self._changed:
            if self.closed:
                return
            if len(self._events) >= self._bound and not self._drop_one():
                self.lagged = self.closed = True
            else:
                self._events.append((job_id, event))
            self._changed.notify_all()
        if self._wake is not None:
            self._wake()

    def _drop_one(self) -> bool:
        for kind in _DROPPABLE:
            for place, (_, event) in enumerate(self._events):
                if isinstance(event, kind):
                    del self._events[place]
                    return True
        return False

    def poll(self) -> list[Delivered]:
        """Everything that has come since the last call, without waiting."""
        with self._changed:
            events = list(self._events)
            self._events.clear()
        return events

    def get(self, timeout: float | None = None) -> Delivered | None:
        """The next event; None when the subscription was closed or `timeout` seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self.closed, timeout)
            return self._events.popleft() if self._events else None

    def __iter__(self) -> Iterator[Delivered]:
        while (delivered := self.get()) is not None:
            yield delivered

    def close(self) -> None:
        """Receive nothing more. May be called from any thread, and twice."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._leave(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Hub:
    """Where events are published and watchers come and go, from any thread."""

    def __init__(self) -> None:
        self._watchers: set[Subscription] = set()
        self._lock = threading.Lock()

    def subscribe(self, wake: Callable[[], None] | None = None, bound: int = BOUND) -> Subscription:
        """`wake` is called, from another thread, whenever an event was added; it must not block."""
        subscription = Subscription(self._remove, wake, bound)
        with self._lock:
            self._watchers.add(subscription)
        return subscription

    def publish(self, job_id: str | None, event: JobEvent) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            try:
                watcher.put(job_id, event)
            except RuntimeError as error:  # Its event loop is closed: nobody is there to be woken.
                _log.warning("A watcher of the queue left without a word: %s", error)
                self._remove(watcher)

    def close(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.close()

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            self._watchers.discard(subscription)
