"""Events to watchers: in order, bounded, previews dropped first, and never a blocked publisher."""

from __future__ import annotations

import threading

from hypothesis import given, strategies

from modules.jobs import EngineChanged, EngineStatus, JobEvent, QueueChanged
from modules.jobs.subscriptions import Hub
from modules.protocol import Preview, StepDone


def step(number: int) -> StepDone:
    return StepDone(job_id="one", batch=0, step=number, steps=9, fraction=0.1)


def preview(number: int) -> Preview:
    return Preview(job_id="one", batch=0, step=number, mime="image/png")


CHANGED = EngineChanged(EngineStatus("ready", "Ready."))


def test_every_watcher_gets_everything_in_order() -> None:
    hub = Hub()
    first, second = hub.subscribe(), hub.subscribe()
    for number in range(3):
        hub.publish("one", step(number))
    expected = [("one", step(number)) for number in range(3)]
    assert first.poll() == expected
    assert [second.get(), second.get(), second.get()] == expected
    assert second.get(0.01) is None
    assert first.poll() == []


def test_a_slow_watcher_loses_previews_then_steps_then_the_subscription() -> None:
    hub = Hub()
    watcher = hub.subscribe(bound=3)
    for event in (preview(0), step(0), CHANGED, step(1)):
        hub.publish("one", event)
    hub.publish("one", QueueChanged())
    assert not watcher.lagged
    hub.publish("one", QueueChanged())
    assert [event for _, event in watcher.poll()] == [CHANGED, QueueChanged(), QueueChanged()]
    for _ in range(4):
        hub.publish("one", QueueChanged())
    assert (watcher.lagged, watcher.closed) == (True, True)
    assert len(list(watcher)) == 3


@given(strategies.lists(strategies.sampled_from([preview(0), step(0), CHANGED]), max_size=40))
def test_what_matters_is_never_dropped_silently(events: list[JobEvent]) -> None:
    hub = Hub()
    watcher = hub.subscribe(bound=8)
    for event in events:
        hub.publish(None, event)
    got = [event for _, event in watcher.poll()]
    assert len(got) <= 8
    if not watcher.lagged:
        assert got.count(CHANGED) == events.count(CHANGED)
    if len(events) <= 8:
        assert got == events


def test_closing_ends_the_iteration_of_another_thread() -> None:
    hub = Hub()
    watcher = hub.subscribe()
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.extend(watcher))
    thread.start()
    hub.publish("one", step(1))
    while not seen and thread.is_alive():
        thread.join(0.01)
        if watcher.poll() == [] and not seen:
            hub.publish("one", step(1))
    watcher.close()
    watcher.close()
    thread.join(5)
    assert not thread.is_alive()
    hub.publish("one", step(2))
    assert watcher.poll() == []


def test_wake_is_called_for_each_event() -> None:
    hub = Hub()
    woken: list[int] = []
    with hub.subscribe(lambda: woken.append(1)) as watcher:
        hub.publish("one", step(1))
        hub.publish("one", step(2))
        assert len(watcher.poll()) == 2
    hub.publish("one", step(3))
    assert len(woken) == 2


def test_a_hub_that_closes_releases_everybody() -> None:
    hub = Hub()
    watcher = hub.subscribe()
    hub.close()
    assert list(watcher) == []
