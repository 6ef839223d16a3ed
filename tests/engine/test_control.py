"""Wishes for the running job: which one wins, and when it ends."""

import pytest

from modules.engine.control import JobControl, StopLevel


@pytest.fixture
def control() -> JobControl:
    control = JobControl()
    control.begin("a")
    return control


def test_a_job_nobody_stops_goes_on(control):
    assert control.next_batch()
    assert not control.leave_batch()
    assert not control.stopped


def test_skip_leaves_one_batch_and_goes_on_with_the_next(control):
    control.wish("a", StopLevel.SKIP)
    assert control.leave_batch()
    assert control.next_batch()
    assert not control.leave_batch()


def test_stop_after_batch_finishes_the_batch_under_way(control):
    control.wish("a", StopLevel.STOP_AFTER_BATCH)
    assert not control.leave_batch()
    assert not control.next_batch()
    assert control.stopped


def test_a_second_interrupt_stops_at_once(control):
    control.wish("a", StopLevel.STOP_AFTER_BATCH)
    control.wish("a", StopLevel.STOP)
    assert control.leave_batch()


def test_a_skip_does_not_weaken_an_interrupt(control):
    control.wish("a", StopLevel.STOP)
    control.wish("a", StopLevel.SKIP)
    assert not control.next_batch()


@pytest.mark.parametrize("wish", [StopLevel.SKIP, StopLevel.STOP_AFTER_BATCH, StopLevel.STOP])
def test_a_wish_for_another_job_is_dropped(control, wish):
    control.wish("b", wish)
    assert control.next_batch()
    assert not control.leave_batch()


def test_a_wish_does_not_outlive_its_job(control):
    control.wish("a", StopLevel.STOP)
    control.end()
    control.begin("a")
    assert control.next_batch()
