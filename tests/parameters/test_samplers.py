"""The sampler table answers to every name that clients, infotext and old versions use."""

from __future__ import annotations

import pytest

from modules.parameters.samplers import (
    SAMPLERS,
    UnknownSamplerError,
    find_sampler,
    resolve_sampler,
    sampler_labels,
)
from modules.parameters.schedules import SCHEDULES, UnknownScheduleError

A1111_ORDER = [
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
    "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
    "LCM",
]  # fmt: skip


def test_a1111s_samplers_come_first_in_its_order() -> None:
    assert list(sampler_labels()[: len(A1111_ORDER)]) == A1111_ORDER
    assert [entry.label for entry in SAMPLERS if entry.from_forge] == [
        "HeunPP2", "IPNDM", "IPNDM_V", "DEIS", "DDPM", "TCD",
    ]  # fmt: skip


def test_no_two_samplers_answer_to_the_same_name() -> None:
    owners = [(spelling, entry.label) for entry in SAMPLERS for spelling in {name.lower() for name in entry.spellings}]
    assert len(owners) == len(dict(owners))


def test_each_default_schedule_exists() -> None:
    labels = {schedule.label for schedule in SCHEDULES}
    assert all(entry.schedule is None or entry.schedule in labels for entry in SAMPLERS)


@pytest.mark.parametrize(
    ("name", "label", "schedule", "applied"),
    [
        ("DPM++ 2M", "DPM++ 2M", "Automatic", "Karras"),
        ("DPM++ 2M Karras", "DPM++ 2M", "Automatic", "Karras"),
        ("dpm++ 2m karras", "DPM++ 2M", "Automatic", "Karras"),
        ("DPM++ 2M Exponential", "DPM++ 2M", "Exponential", "Exponential"),
        ("DPM++ 2M SDE Exponential", "DPM++ 2M SDE", "Automatic", "Exponential"),
        ("DPM++ 2M SDE Heun Karras", "DPM++ 2M SDE Heun", "Karras", "Karras"),
        ("DPM++ 2M SDE Heun", "DPM++ 2M SDE Heun", "Automatic", "Exponential"),
        ("DPM2 a Karras", "DPM2 a", "Automatic", "Karras"),
        ("LMS Karras", "LMS", "Karras", "Karras"),
        ("Euler a", "Euler a", "Automatic", "Automatic"),
        ("Euler SGMUniform", "Euler", "SGM Uniform", "SGM Uniform"),
        ("Euler sgm_uniform", "Euler", "SGM Uniform", "SGM Uniform"),
        ("Euler Align Your Steps", "Euler", "Align Your Steps", "Align Your Steps"),
        ("Euler Align Your Steps 32", "Euler", "Align Your Steps 32", "Align Your Steps 32"),
        ("DPM++ 2M Automatic", "DPM++ 2M", "Automatic", "Karras"),
        ("k_euler_a", "Euler a", "Automatic", "Automatic"),
        ("K_EULER_ANCESTRAL", "Euler a", "Automatic", "Automatic"),
        ("k_dpmpp_2m_ka", "DPM++ 2M", "Automatic", "Karras"),
        ("k_dpmpp_2m_sde_exp", "DPM++ 2M SDE", "Automatic", "Exponential"),
        ("k_dpm_2_a_ka", "DPM2 a", "Automatic", "Karras"),
        ("ddim", "DDIM", "Automatic", "Automatic"),
        ("DDIM CFG++", "DDIM CFG++", "Automatic", "Automatic"),
        ("unipc", "UniPC", "Automatic", "Automatic"),
        (" Euler ", "Euler", "Automatic", "Automatic"),
        (None, "DPM++ 2M", "Automatic", "Karras"),
        ("", "DPM++ 2M", "Automatic", "Karras"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_names_resolve(name: str | None, label: str, schedule: str, applied: str, strict: bool) -> None:
    choice = resolve_sampler(name, strict=strict)
    assert (choice.sampler.label, choice.schedule.label) == (label, schedule)
    assert choice.applied_schedule.label == applied


def test_every_spelling_finds_its_sampler_with_and_without_a_schedule() -> None:
    for entry in SAMPLERS:
        for spelling in entry.spellings:
            assert find_sampler(spelling) is entry
            assert resolve_sampler(spelling.upper(), strict=True).sampler is entry
            for schedule in SCHEDULES:
                assert resolve_sampler(f"{spelling} {schedule.label}", strict=True).sampler is entry


def test_a_schedule_given_apart_is_used_unless_the_name_carries_one() -> None:
    assert resolve_sampler("Euler", "karras").schedule.label == "Karras"
    assert resolve_sampler("Euler Exponential", "Karras").schedule.label == "Exponential"
    assert resolve_sampler("DPM++ 2M", "Karras").schedule.label == "Automatic"
    assert resolve_sampler("Euler", "Nonsense").schedule.label == "Automatic"


def test_unknown_names_fall_back_or_are_refused_with_a_hint() -> None:
    assert resolve_sampler("Eulre a").sampler.label == "DPM++ 2M"
    with pytest.raises(UnknownSamplerError, match="There is no sampler 'Eulre a'; did you mean 'Euler a'"):
        resolve_sampler("Eulre a", strict=True)
    with pytest.raises(UnknownSamplerError, match="choose one of: DPM\\+\\+ 2M, "):
        resolve_sampler("zzz", strict=True)
    with pytest.raises(UnknownScheduleError, match="did you mean 'Karras'"):
        resolve_sampler("Euler", "Karas", strict=True)


def test_the_api_lists_names_aliases_and_options_as_text() -> None:
    listed = {item["name"]: item for item in (entry.api_item() for entry in SAMPLERS)}
    assert listed["DPM++ 2M"] == {"name": "DPM++ 2M", "aliases": ["k_dpmpp_2m"], "options": {"scheduler": "karras"}}
    assert listed["DPM2 a"]["options"] == {
        "scheduler": "karras",
        "uses_ensd": "True",
        "second_order": "True",
        "discard_next_to_last_sigma": "True",
    }
    assert listed["DPM++ 2M SDE Heun"]["options"] == {
        "scheduler": "exponential",
        "brownian_noise": "True",
        "solver_type": "heun",
    }
    assert listed["Euler"]["options"] == {}


def test_flags_follow_the_algorithm() -> None:
    by_label = {entry.label: entry for entry in SAMPLERS}
    assert [label for label, entry in by_label.items() if entry.second_order] == [
        "DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart",
    ]  # fmt: skip
    assert [label for label, entry in by_label.items() if entry.family == "timestep"] == [
        "DDIM", "DDIM CFG++", "PLMS", "UniPC",
    ]  # fmt: skip
    assert by_label["Heun"].call_count(20) == 40 and by_label["Euler"].call_count(20) == 20
    assert by_label["DDIM"].default_eta == 0 and by_label["Euler a"].default_eta == 1


@pytest.mark.parametrize(
    ("name", "label", "schedule"),
    [
        ("dpmpp_2m", "DPM++ 2M", "Automatic"),
        ("euler_ancestral", "Euler a", "Automatic"),
        ("dpmpp_2m_sde_gpu", "DPM++ 2M SDE", "Automatic"),
        ("euler_ancestral_karras", "Euler a", "Karras"),
        ("uni_pc", "UniPC", "Automatic"),
        ("dpm_2_ancestral", "DPM2 a", "Automatic"),
        ("euler_ddim_uniform", "Euler", "DDIM"),
    ],
)
def test_names_of_other_programs(name: str, label: str, schedule: str) -> None:
    choice = resolve_sampler(name, strict=True)
    assert (choice.sampler.label, choice.schedule.label) == (label, schedule)
    aliases = choice.sampler.api_item()["aliases"]
    assert isinstance(aliases, list) and name not in aliases
