"""Stop requests for a job: which one wins, from when on, and when it ends."""

from __future__ import annotations

import pytest

from modules.engine.control import JobControl, JobControls, StopLevel

LEVELS = [StopLevel.SKIP, StopLevel.STOP_AFTER_BATCH, StopLevel.STOP]


def test_a_job_nobody_stops_goes_on() -> None:
    control = JobControl()
    control.end_batch()
    assert not control.leave_batch
    assert not control.stopped


def test_skip_leaves_one_batch_and_goes_on_with_the_next() -> None:
    control = JobControl()
    control.request(StopLevel.SKIP)
    assert control.leave_batch and not control.stopped
    control.end_batch()
    assert not control.leave_batch and not control.stopped


def test_stop_after_batch_finishes_the_batch_under_way() -> None:
    control = JobControl()
    control.request(StopLevel.STOP_AFTER_BATCH)
    assert not control.leave_batch
    control.end_batch()
    assert control.stopped


def test_a_second_interrupt_stops_at_once() -> None:
    control = JobControl()
    control.request(StopLevel.STOP_AFTER_BATCH)
    control.request(StopLevel.STOP)
    assert control.leave_batch


def test_a_skip_does_not_weaken_an_interrupt() -> None:
    control = JobControl()
    control.request(StopLevel.STOP)
    control.request(StopLevel.SKIP)
    control.end_batch()
    assert control.stopped


@pytest.mark.parametrize("level", LEVELS)
def test_a_request_reaches_a_job_that_was_received_and_has_not_begun(level: StopLevel) -> None:
    controls = JobControls()
    first, second = controls.receive("a"), controls.receive("b")
    controls.request("b", level)
    assert second.leave_batch or second.stopped
    assert not (first.leave_batch or first.stopped)


@pytest.mark.parametrize("level", LEVELS)
def test_a_request_before_a_job_is_received_or_after_its_end_is_dropped(level: StopLevel) -> None:
    controls = JobControls()
    controls.request("a", level)
    control = controls.receive("a")
    assert not (control.leave_batch or control.stopped)
    controls.end("a", control)
    controls.request("a", level)
    again = controls.receive("a")
    assert not (again.leave_batch or again.stopped)


def test_the_end_of_a_run_does_not_take_the_control_of_the_next_one() -> None:
    controls = JobControls()
    first = controls.receive("a")
    second = controls.receive("a")
    controls.end("a", first)
    controls.request("a", StopLevel.STOP)
    assert second.stopped
