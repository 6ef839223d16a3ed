"""Arguments that are units and pictures: checked, stored with the job, and never text."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from modules.features import pictures, table
from modules.features.declaration import Argument, Script, ScriptError, a_unit_is_enabled, checked_arguments

UNIT = (
    Argument("enabled", "Enable", False, "checkbox"),
    Argument("weight", "Weight", 1.0, minimum=0, maximum=2, step=0.05),
    Argument("image", "Image", "", "picture"),
)
UNITS = Script(
    "Made up units",
    arguments=(Argument("units", "Units", [], "units", most=2, record=UNIT),),
    always_on=True,
    acts=a_unit_is_enabled,
)


def test_each_unit_has_a_value_for_every_argument() -> None:
    assert checked_arguments(UNITS, {"units": [{"weight": 0.5}]}) == {
        "units": [{"enabled": False, "weight": 0.5, "image": ""}]
    }


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        ([{"weight": 3}], "Made up units: Weight is 3: it must be a number from 0 to 2."),
        ([{"depth": 3}], "Made up units has no argument 'depth'."),
        ([{}] * 3, "Made up units: there are 3 units; at most 2 are possible."),
        ("canny", "Made up units: Units is 'canny': it must be a list of units, each with its arguments by name."),
        ([{"image": 7}], "Made up units: Image is 7: it must be the name of a picture that came with the request."),
    ],
)
def test_a_unit_that_cannot_be_used_is_one_sentence(units: JsonValue, sentence: str) -> None:
    with pytest.raises(ScriptError) as error:
        checked_arguments(UNITS, {"units": units})
    assert str(error.value) == sentence


def test_units_act_where_one_of_them_is_enabled() -> None:
    assert not UNITS.is_active({"units": [{"enabled": False}]})
    assert UNITS.is_active({"units": [{"enabled": False}, {"enabled": True}]})
    assert not UNITS.is_active({})


def test_pictures_of_units_are_found_and_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SCRIPTS", (*table.SCRIPTS, UNITS))
    scripts: dict[str, dict[str, JsonValue]] = {
        "Made up units": {"units": [{"image": "a"}, {"image": ""}, {"image": "b"}]},
        "Loopback": {"loops": 2},
    }
    assert list(pictures.script_pictures(scripts)) == ["a", "b"]
    assert pictures.with_pictures(scripts, str.upper) == {
        "Made up units": {"units": [{"image": "A"}, {"image": ""}, {"image": "B"}]},
        "Loopback": {"loops": 2},
    }
