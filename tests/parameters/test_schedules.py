"""The schedule table: A1111's names and what the API lists."""

from __future__ import annotations

import pytest

from modules.parameters.schedules import (
    AUTOMATIC,
    SCHEDULES,
    UnknownScheduleError,
    find_schedule,
    resolve_schedule,
    schedule_labels,
)


def test_a1111s_schedules_come_first_in_its_order() -> None:
    assert schedule_labels()[:12] == (
        "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal",
        "Align Your Steps", "Simple", "Normal", "DDIM", "Beta",
    )  # fmt: skip
    assert all(entry.from_forge for entry in SCHEDULES[12:])


def test_every_spelling_in_any_case_finds_its_schedule() -> None:
    for entry in SCHEDULES:
        for spelling in entry.spellings:
            assert find_schedule(spelling.upper()) is entry and find_schedule(f" {spelling.lower()} ") is entry
    spellings = {spelling.lower() for entry in SCHEDULES for spelling in entry.spellings}
    assert len(spellings) >= len(SCHEDULES)


def test_nothing_is_automatic_and_so_is_the_unknown_unless_strict() -> None:
    assert resolve_schedule(None) is resolve_schedule("") is AUTOMATIC
    assert resolve_schedule("Karas") is AUTOMATIC
    assert resolve_schedule("", strict=True) is AUTOMATIC
    with pytest.raises(UnknownScheduleError, match="There is no schedule type 'Karas'; did you mean 'Karras'"):
        resolve_schedule("Karas", strict=True)


def test_the_api_lists_what_clients_expect() -> None:
    listed = {item["name"]: item for item in (entry.api_item() for entry in SCHEDULES)}
    assert listed["karras"] == {
        "name": "karras",
        "label": "Karras",
        "aliases": None,
        "default_rho": 7.0,
        "need_inner_model": False,
    }
    assert listed["sgm_uniform"]["aliases"] == ["SGMUniform"]
    assert listed["beta"]["need_inner_model"] is True
