"""ui-config.json: A1111's keys read, wrong kinds left aside, foreign entries kept."""

import json
import math
from pathlib import Path

import pytest

from modules.settings import Control, Place, UiConfig, UiConfigError

STEPS = Control(value=20, minimum=1, maximum=150, step=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ui-config.json"


def test_without_a_file_the_declared_control_stands(file: Path) -> None:
    assert UiConfig(file).control(Place("txt2img", "Sampling steps"), STEPS) == STEPS


def test_entries_replace_value_limits_and_visibility(file: Path) -> None:
    entries = {
        "txt2img/Sampling steps/value": 30,
        "txt2img/Sampling steps/maximum": 300,
        "txt2img/Sampling steps/visible": False,
        "img2img/Sampling steps/value": 40,
    }
    file.write_text(json.dumps(entries), encoding="utf-8")
    found = UiConfig(file).control(Place("txt2img", "Sampling steps"), STEPS)
    assert found == Control(value=30, minimum=1, maximum=300, step=1, visible=False)


def test_keys_of_a1111s_scripts_are_understood(file: Path) -> None:
    entries = {"customscript/sampler.py/txt2img/Sampling steps/value": 33, "customscript/seed.py/txt2img/Seed/value": 7}
    file.write_text(json.dumps(entries), encoding="utf-8")
    config = UiConfig(file)
    assert config.control(Place("txt2img", "Sampling steps"), STEPS).value == 33
    assert config.control(Place("txt2img", "Seed"), Control(value="-1")).value == "7"
    config.forget([Place("txt2img", "Seed")])
    assert set(json.loads(file.read_text("utf-8"))) == {"customscript/sampler.py/txt2img/Sampling steps/value"}


@pytest.mark.parametrize("wrong", ["many", True, None, [20], math.nan, math.inf])
def test_an_entry_of_another_kind_is_left_aside_and_said(file: Path, wrong: object) -> None:
    file.write_text(json.dumps({"txt2img/Sampling steps/value": wrong}), encoding="utf-8")
    config = UiConfig(file)
    assert config.control(Place("txt2img", "Sampling steps"), STEPS) == STEPS
    assert f"txt2img/Sampling steps/value is {wrong!r}: it is of another kind" in config.notices[0]


def test_a_value_that_cannot_be_chosen_and_limits_without_room_are_left_aside(file: Path) -> None:
    entries = {"extras/Upscaler 1/value": "Gone", "extras/Resize/minimum": 9, "extras/Resize/step": 0}
    file.write_text(json.dumps(entries | {"extras/Width/value": 9000}), encoding="utf-8")
    config = UiConfig(file)
    assert config.control(Place("extras", "Upscaler 1"), Control(value="None"), ("None", "Lanczos")).value == "None"
    assert "it is none of the control's choices" in config.notices[0]
    resize = Control(value=4, minimum=1, maximum=8, step=0.05)
    assert config.control(Place("extras", "Resize"), resize) == resize
    assert config.control(Place("extras", "Width"), Control(value=512, minimum=64, maximum=8192, step=8)).value == 8192


def test_limits_are_not_given_to_controls_without_any(file: Path) -> None:
    file.write_text(json.dumps({"txt2img/Prompt/minimum": 3}), encoding="utf-8")
    assert UiConfig(file).control(Place("txt2img", "Prompt"), Control(value="")).minimum is None


def test_saving_merges_and_keeps_foreign_entries(file: Path) -> None:
    file.write_text(json.dumps({"customscript/x.py/txt2img/Y/value": 1}), encoding="utf-8")
    config = UiConfig(file)
    changed = config.save({Place("txt2img", "Sampling steps"): STEPS})
    assert "customscript/sampler.py/txt2img/Sampling steps/value" in changed, "A1111's own key"
    assert config.save({Place("txt2img", "Sampling steps"): STEPS}) == ()
    again = json.loads(file.read_text(encoding="utf-8"))
    assert again["customscript/x.py/txt2img/Y/value"] == 1
    other = Control(value=1, minimum=1, maximum=2, step=1)
    assert UiConfig(file).control(Place("txt2img", "Sampling steps"), other) == STEPS


def test_forgetting_brings_the_declared_defaults_back(file: Path) -> None:
    config = UiConfig(file)
    steps, other = Place("txt2img", "Sampling steps"), Place("txt2img", "Sampling")
    config.save({steps: Control(value=77), other: Control(value="x")})
    config.forget([steps])
    assert UiConfig(file).control(steps, STEPS) == STEPS
    assert UiConfig(file).control(other, Control(value="")).value == "x"


def test_controls_of_scripts_have_the_keys_of_a1111s_files(file: Path) -> None:
    entries = {
        "customscript/sd_upscale.py/img2img/Tile overlap/value": 96,
        "customscript/poor_mans_outpainting.py/img2img/Mask blur/value": 9,
        "customscript/postprocessing_upscale.py/extras/Resize/value": 2,
        "img2img/Mask blur/value": 5,
    }
    file.write_text(json.dumps(entries), encoding="utf-8")
    config = UiConfig(file)
    blur = Control(value=4, minimum=0, maximum=64, step=1)
    found = [config.control(Place("img2img", "Mask blur", script), blur).value for script in ("", "loopback.py")]
    assert found == [5, 4], "one script's entry is not another's"
    assert config.control(Place("img2img", "Mask blur", "poor_mans_outpainting.py"), blur).value == 9
    assert config.control(Place("extras", "Resize"), Control(value=4, minimum=1, maximum=8, step=0.05)).value == 2
    assert config.control(Place("img2img", "Tile overlap", "sd_upscale.py"), Control(value=64)).value == 96
    changed = config.save({Place("img2img", "Mask blur", "outpainting_mk_2.py"): blur})
    assert "customscript/outpainting_mk_2.py/img2img/Mask blur/value" in changed


def test_what_somebody_wrote_meanwhile_is_kept(file: Path) -> None:
    config = UiConfig(file)
    file.write_text(json.dumps({"txt2img/Width/value": 640}), encoding="utf-8")
    config.save({Place("txt2img", "Height"): Control(value=768)})
    again = json.loads(file.read_text("utf-8"))
    assert (again["txt2img/Width/value"], again["txt2img/Height/value"]) == (640, 768)


@pytest.mark.parametrize(("wanted", "found"), [("extras", "extras"), ("modelmerger", None), (3, None), (None, None)])
def test_the_tab_that_is_open_at_first(file: Path, wanted: object, found: str | None) -> None:
    file.write_text(json.dumps({"webui/Tabs@tabs/selected": wanted}), encoding="utf-8")
    assert UiConfig(file).selected(["txt2img", "extras"]) == found


def test_a_corrupt_file_is_set_aside(file: Path) -> None:
    file.write_text("not json")
    assert "was set aside" in UiConfig(file).notices[0]


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    with pytest.raises(UiConfigError, match="can't be saved"):
        UiConfig(tmp_path / "blocked" / "ui-config.json").save({Place("a", "b"): STEPS})
