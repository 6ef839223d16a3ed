"""The running job's pace: what is left at a steady pace, whatever the first step cost."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from modules.jobs.live_progress import LiveProgress
from modules.protocol import Preview, StepDone
from tests.jobs.helpers import present


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def take(board: LiveProgress, step: int, steps: int) -> None:
    board.step(StepDone(job_id="one", batch=0, step=step, steps=steps, fraction=step / steps))


@given(
    warm_up=strategies.floats(0, 100),
    pace=strategies.floats(0.01, 50),
    steps=strategies.integers(2, 50),
    data=strategies.data(),
)
def test_at_a_steady_pace_the_eta_is_exact(
    warm_up: float, pace: float, steps: int, data: strategies.DataObject
) -> None:
    clock = Clock()
    board = LiveProgress(clock)
    board.begin("one")
    clock.now += warm_up
    taken = data.draw(strategies.integers(2, steps))
    for step in range(1, taken + 1):
        clock.now += pace
        take(board, step, steps)
    read = board.of("one")
    assert read is not None
    assert read[1] == pytest.approx((steps - taken) * pace, abs=1e-6 * pace * steps)


def test_between_steps_the_eta_counts_down_to_zero() -> None:
    clock = Clock()
    board = LiveProgress(clock)
    board.begin("one")
    for step in (1, 2):
        clock.now += 1
        take(board, step, 4)
    for waited, expected in ((0, 2.0), (0.5, 1.5), (10, 0.0)):
        clock.now = 102 + waited
        assert board.of("one") == (present(board.of("one"))[0], expected)


def test_one_step_is_no_pace_yet() -> None:
    board = LiveProgress(Clock())
    assert board.of("one") is None
    board.begin("one")
    assert present(board.of("one"))[1] is None
    take(board, 1, 4)
    assert present(board.of("one"))[1] is None
    assert board.of("two") is None


def test_previews_are_numbered_and_go_with_their_job() -> None:
    board = LiveProgress(Clock())
    preview = Preview(job_id="one", batch=0, step=1, mime="image/jpeg", blobs=(b"small",))
    board.preview(preview)
    board.begin("one")
    for serial in (1, 2):
        board.preview(preview)
        live, _ = present(board.of("one"))
        assert (live.preview, live.preview_mime, live.preview_serial) == (b"small", "image/jpeg", serial)
    board.end()
    assert board.of("one") is None
