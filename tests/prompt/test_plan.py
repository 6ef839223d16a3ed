import pytest

from modules.prompt import active_text, plan_conditioning, schedule


def test_parts_and_schedules() -> None:
    plan = plan_conditioning(["a [b:c:2] AND d :-0.5"], ["e [f:1] AND g:2"], 4)
    (picture,) = plan.pictures
    assert [part.weight for part in picture.parts] == [1.0, -0.5]
    assert picture.parts[0].schedule == ((2, "a b"), (4, "a c"))
    assert picture.parts[1].schedule == ((4, " d"),)
    assert picture.negative.weight == 1.0
    assert picture.negative.texts == ("e  AND g:2", "e f AND g:2")


def test_batches_are_distinct_groups_of_texts() -> None:
    plan = plan_conditioning(["[a:b:2]", "[a:b:2]", "a"], ["", "", "a"], 4)
    assert plan.batches == (("a", "b"), ("",), ("a",))


def test_the_hires_pass_has_its_own_schedule() -> None:
    plan = plan_conditioning(["[a:b:1.5]"], [""], 10, hires_steps=4)
    assert plan.pictures[0].parts[0].schedule == ((2, "a"), (4, "b"))
    old = plan_conditioning(["[a:b:0.5]"], [""], 10, hires_steps=4, old=True)
    assert old.pictures[0].parts[0].schedule == ((5, "a"), (10, "b"))


def test_each_prompt_has_a_negative_prompt() -> None:
    with pytest.raises(ValueError, match="argument"):
        plan_conditioning(["a", "b"], [""], 4)


def test_the_first_text_serves_one_call_more() -> None:
    entries = schedule("[a:b:2]", 5)
    assert [active_text(entries, call) for call in range(6)] == ["a", "a", "a", "b", "b", "b"]
    alternating = schedule("[a|b]", 4)
    assert [active_text(alternating, call) for call in range(5)] == ["a", "a", "b", "a", "b"]


def test_calls_past_the_last_step_go_back_to_the_first_text() -> None:
    assert active_text(schedule("[a:b:2]", 5), 6) == "a"
