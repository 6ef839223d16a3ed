"""The form of guidance on the page: one text for all its features, which becomes their arguments and back."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from modules.features.guidance import GUIDANCE
from modules.page.script_names import GROUPS, of_group
from modules.page.scripts import group_control, is_sound, page_scripts, script_controls
from modules.page.unit_routes import group_schema
from modules.parameters import RequestError, parse_request

CONTROL = group_control("Guidance")


def form(*units: dict[str, Any]) -> dict[str, Any]:
    return {CONTROL: json.dumps(units)}


def test_what_is_ticked_becomes_scripts_and_comes_back() -> None:
    values = form({"title": "FreeU", "enabled": True, "b1": 1.3}, {"title": "CADS", "enabled": False, "tau_1": 0.3})
    scripts = page_scripts("txt2img", values)
    assert scripts == {"FreeU": {"enabled": True, "b1": 1.3}}
    request = parse_request({"scripts": scripts})
    back = script_controls(request.scripts)
    assert [name for name in back if "freeu" in name] == []
    assert parse_request({"scripts": page_scripts("img2img", back)}).scripts == request.scripts
    assert page_scripts("txt2img", script_controls({})) == {}


@pytest.mark.parametrize("text", ["no json", "3", '[{"title": "Loopback"}]', "[3]", '[{"title": "Gone"}]'])
def test_a_text_that_is_no_form_of_it_is_refused_and_not_restored(text: str) -> None:
    with pytest.raises(RequestError, match="Guidance could not be read: reload the page"):
        page_scripts("txt2img", {CONTROL: text})
    assert not is_sound(CONTROL, text)


def test_a_stored_form_is_restored_where_its_values_fit() -> None:
    assert is_sound(CONTROL, "[]")
    assert is_sound(CONTROL, json.dumps([{"title": "FreeU", "b1": 1.5}]))
    assert not is_sound(CONTROL, json.dumps([{"title": "FreeU", "b1": "much"}]))


def test_the_form_has_a_page_for_each_feature() -> None:
    services: Any = SimpleNamespace(lists={})
    assert GROUPS == ("Guidance",)
    schema = group_schema(services, of_group("Guidance", "img2img"), "img2img")
    assert [one["title"] for one in schema["forms"]] == [script.title for script in GUIDANCE]
    form = next(one for one in schema["forms"] if one["title"] == "Dynamic thresholding")
    modes = next(one for one in form["arguments"] if one["name"] == "mimic_mode")
    assert modes["look"] == "dropdown" and "Sawtooth" in modes["choices"]
    assert all(one["arguments"][0]["name"] == "enabled" for one in schema["forms"])
