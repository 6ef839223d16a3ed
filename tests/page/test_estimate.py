"""The time of a picture, from the times of pictures before."""

from __future__ import annotations

import random
from typing import Any

import pytest

from modules.jobs.job import Job, Spent
from modules.page.estimate import (
    Estimate,
    PassWork,
    Timed,
    duration,
    pace,
    pass_work_of,
    seconds_for,
    sentence,
    timed_jobs,
)
from modules.parameters import GenerationRequest, resolve

NATIVE = (128, 128)
OWN = 128 * 128


def timed(side: int, seconds: float, steps: int = 20) -> Timed:
    return Timed((PassWork(steps, side * side),), seconds)


def ended(seconds: float | None, **fields: Any) -> Job:
    request = GenerationRequest(seed=1, **fields)
    resolved = resolve(request, options={}, rng=random.Random(1), checkpoint="x")
    return Job("a", "finished", request, resolved, created=1.0, spent=None if seconds is None else Spent(seconds))


def test_the_same_again_takes_as_long() -> None:
    assert seconds_for([PassWork(20, OWN)], [timed(128, 4), timed(128, 4), timed(128, 40)]) == pytest.approx(4)
    assert seconds_for([PassWork(80, OWN)], [timed(128, 4)]) == pytest.approx(16)
    assert seconds_for([PassWork(20, OWN)], []) is None


def test_from_one_size_alone_time_grows_a_little_faster_than_the_pixels() -> None:
    seconds = seconds_for([PassWork(20, 16 * OWN)], [timed(128, 4)])
    assert seconds is not None and 16 * 4 < seconds < 40 * 4


def test_from_several_sizes_the_machines_own_growth_is_learned() -> None:
    square = [timed(128, 1), timed(256, 16), timed(512, 256)]
    assert seconds_for([PassWork(20, 1024 * 1024)], square) == pytest.approx(4096, rel=0.05)
    linear = [timed(128, 1), timed(256, 4), timed(512, 16)]
    assert seconds_for([PassWork(20, 1024 * 1024)], linear) == pytest.approx(64, rel=0.05)


def test_both_passes_count() -> None:
    form = {"width": 128, "height": 128, "steps": 20, "n_iter": 2, "batch_size": 1, "denoising_strength": 0.5}
    assert pass_work_of("txt2img", form) == (PassWork(40, OWN),)
    assert pass_work_of("img2img", form) == (PassWork(20, OWN),)
    hires = {**form, "enable_hr": True, "hr_scale": 2, "hr_resize_x": 0, "hr_resize_y": 0, "hr_second_pass_steps": 0}
    assert pass_work_of("txt2img", hires) == (PassWork(40, OWN), PassWork(20, 4 * OWN))
    assert pass_work_of("txt2img", {**hires, "hr_resize_x": 512})[1] == PassWork(20, 512 * 512)
    for value in (None, "x", ""):
        with pytest.raises((TypeError, ValueError)):
            pass_work_of("txt2img", {**form, "steps": value})


@pytest.mark.parametrize(
    ("side", "before", "text"),
    [
        (128, [timed(128, 4)], ""),
        (128, [], ""),
        (128, [timed(128, 90)], "About 2 min."),
        (512, [timed(512, 20)], "About 20 s; this model was made for 128×128."),
        (512, [timed(512, 240)], "About 4 min; this model was made for 128×128."),
        (512, [], "This model was made for 128×128: at this size it is slower and may repeat things."),
    ],
)
def test_there_is_something_to_say_only_where_it_is_much(side: int, before: list[Timed], text: str) -> None:
    assert sentence([PassWork(20, side * side)], before, NATIVE) == text
    assert sentence([PassWork(20, 512 * 512)], [timed(512, 90)], None) == "About 2 min."


def test_the_pace_is_of_one_picture() -> None:
    assert pace([PassWork(80, OWN)], [timed(128, 8)], images=4) == "About 8 s a picture at this size."
    assert pace([PassWork(20, OWN)], [], images=1) == ""
    assert Estimate("a<b", "c").html() == '<span class="said">a&lt;b</span><span class="pace" hidden>c</span>'


def test_times_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (0.2, 59.4, 89, 91, 3540, 5400)] == [
        *("1 s", "59 s", "1 min", "2 min", "59 min", "1.5 h")
    ]


def test_only_jobs_like_this_one_are_learned_from() -> None:
    like = ended(3, sampler_name="Euler")
    others = [ended(None), ended(0), ended(9, sampler_name="Heun")]
    assert [one.seconds for one in timed_jobs([like, *others], "x", "txt2img", "Euler")] == [3]
    assert [one.seconds for one in timed_jobs([like, *others], "x", "txt2img", "LMS")] == [3, 9]
    assert timed_jobs([like], "another", "txt2img", "Euler") == timed_jobs([like], "x", "img2img", "Euler") == []
