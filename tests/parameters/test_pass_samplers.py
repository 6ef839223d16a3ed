"""Sampler and schedule of each pass: found once, stored as labels, and read from nowhere else."""

from __future__ import annotations

import ast
import json
import random
from typing import Any

import pytest
from pydantic import ValidationError

from modules.parameters import GenerationRequest, ResolvedRequest, Variant, resolve, write_infotext
from modules.parameters.pass_samplers import sampler_choices, with_labels
from tests import source_rules as rules

HIRES: dict[str, Any] = {"enable_hr": True, "sampler_name": "DPM++ 2M", "hr_sampler_name": "DPM++ 2M SDE"}


def resolved(variants: tuple[Variant, ...] = (), **fields: Any) -> ResolvedRequest:
    request = GenerationRequest(**fields, seed=1, subseed=1, n_iter=len(variants) or 1)
    return resolve(request, options={}, rng=random.Random(0), variants=variants)


def names(one: ResolvedRequest) -> list[tuple[str, str]]:
    return [(spec.choice.sampler.label, spec.choice.applied_schedule.label) for spec in one.passes]


def test_a_row_holds_the_labels_of_each_pass() -> None:
    first = resolved((Variant(), Variant(fields={"hr_sampler_name": "Heun"})), **HIRES)
    stored = json.loads(first.model_dump_json())
    assert stored["samplers"] == [["DPM++ 2M", "Automatic"], ["DPM++ 2M SDE", "Automatic"]]
    assert [one["samplers"] for one in stored["variants"]] == [None, [["DPM++ 2M", "Automatic"], ["Heun", "Automatic"]]]
    assert ResolvedRequest.model_validate_json(json.dumps(stored)) == first


def test_a_row_of_an_older_version_names_them_in_its_request() -> None:
    first = resolved((Variant(), Variant(fields={"sampler_name": "Euler", "scheduler": "Beta"})), **HIRES)
    stored = json.loads(first.model_dump_json())
    for one in (stored, *stored["variants"]):
        del one["samplers"]
    loaded = ResolvedRequest.model_validate_json(json.dumps(stored))
    assert loaded == first
    assert names(loaded.of_image(0)) == [("DPM++ 2M", "Karras"), ("DPM++ 2M SDE", "Exponential")]
    assert names(loaded.of_image(1)) == [("Euler", "Beta"), ("DPM++ 2M SDE", "Beta")]


def test_what_a_row_holds_applies_whatever_its_request_says() -> None:
    first = resolved(**HIRES)
    other = first.request.model_copy(update={"sampler_name": "Heun", "hr_sampler_name": "Use same sampler"})
    renamed = first.model_copy(update={"request": other})
    assert names(renamed) == names(first)
    assert write_infotext(renamed, 0, {}) == write_infotext(first, 0, {})


def test_a_row_with_a_sampler_that_is_gone_is_invalid() -> None:
    stored = json.loads(resolved(**HIRES).model_dump_json())
    stored["samplers"][1][0] = "Eulre"
    with pytest.raises(ValidationError, match="There is no sampler 'Eulre'"):
        ResolvedRequest.model_validate_json(json.dumps(stored))
    del stored["samplers"]
    stored["request"]["hr_sampler_name"] = "Eulre"
    with pytest.raises(ValueError, match="There is no sampler 'Eulre'"):
        ResolvedRequest.model_validate_json(json.dumps(stored))


@pytest.mark.parametrize("hires", ["Use same sampler", "Euler", "DPM++ 2M SDE", "DPM++ 2M SDE Karras", "k_euler_a"])
@pytest.mark.parametrize("schedule", ["Use same scheduler", "Automatic", "Karras", "exponential"])
@pytest.mark.parametrize("first", [("DPM++ 2M", "Automatic"), ("k_dpmpp_2m_ka", "Beta"), ("Euler", "Automatic")])
def test_labels_lead_to_the_same_levels_again(first: tuple[str, str], hires: str, schedule: str) -> None:
    request = GenerationRequest(
        enable_hr=True, sampler_name=first[0], scheduler=first[1], hr_sampler_name=hires, hr_scheduler=schedule
    )
    found = sampler_choices(request)
    again = sampler_choices(with_labels(request, found))
    assert [one.sampler for one in again] == [one.sampler for one in found]
    assert [one.applied_schedule for one in again] == [one.applied_schedule for one in found]


SAME = {"SAME_CHECKPOINT", "SAME_SAMPLER", "SAME_SCHEDULE"}


def test_only_the_request_and_detail_passes_know_what_using_the_same_means() -> None:
    comparing = {
        one.path.name
        for one in rules.sources()
        for node in ast.walk(one.tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(name, ast.Name) and name.id in SAME for name in ast.walk(node))
    }
    # A detail pass has the words for itself: what it takes is the picture's.
    assert comparing == {"request.py", "plan.py"}


# Where names come in: requests, plots, infotexts and the samplers of a script. What runs has been found by then.
READERS_OF_NAMES = {
    *("modules/parameters/samplers.py", "modules/parameters/pass_samplers.py", "modules/intake/intake.py"),
    *("modules/parameters/infotext_versions.py", "modules/parameters/infotext_request.py"),
    *("modules/page/reading.py", "modules/pictures/foreign_values.py"),
    *("modules/parameters/xyz/axes.py", "modules/features/alternative_test/run.py", "modules/features/detail/plan.py"),
}


def test_no_name_is_looked_up_again() -> None:
    looking = {
        str(one.path.relative_to(rules.ROOT))
        for one in rules.sources()
        for node in ast.walk(one.tree)
        if isinstance(node, ast.Name) and node.id in ("find_sampler", "resolve_sampler")
    }
    assert looking <= READERS_OF_NAMES
