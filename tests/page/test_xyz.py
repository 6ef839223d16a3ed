"""X/Y/Z plot on the page: what axes offer, what is said of them, and what pasted parameters put into the lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.features.declaration import checked_arguments
from modules.features.table import find_script
from modules.page.scripts import script_controls
from modules.page.xyz import axis_choices, count_line, hint
from modules.parameters.xyz import AXES
from modules.parameters.xyz.axes import checked_values, is_possible
from modules.settings import parse_flags
from tests.page.fakes import open_services


def plot(**given: Any) -> dict[str, Any]:
    script = find_script("X/Y/Z plot")
    assert script is not None
    return dict(checked_arguments(script, given))


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "styles.csv").write_text('name,prompt,negative_prompt\n"Oil, thick",oil,\n', "utf-8")
    opened = open_services(parse_flags(["--data-dir", str(tmp_path)], {}))
    yield opened
    opened.jobs.close()


def test_axes_with_a_list_offer_values_that_they_take_and_the_others_say_how_to_type(services: Any) -> None:
    for axis in filter(is_possible, AXES):
        choices = axis_choices(services, axis.label)
        assert bool(choices) is axis.listed, axis.label
        if axis.label in ("Sampler", "Schedule type"):
            assert checked_values(axis, choices) == choices
        assert bool(hint(axis.label)) is (axis.label != "Nothing")
    assert axis_choices(services, "Checkpoint name")[0] == "demo-emoji.safetensors [0123456789]"
    assert axis_choices(services, "Styles") == ["Oil, thick"]
    assert axis_choices(services, "RNG source") == ["GPU", "CPU", "NV"]
    assert axis_choices(services, "SGM noise multiplier") == ["True", "False"]
    assert axis_choices(services, "[ControlNet] Enabled") == ["True", "False"]
    assert axis_choices(services, "[ControlNet] Control Mode")[0] == "Balanced"
    assert axis_choices(services, "no such axis") == []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"x_values": ""}, ""),
        ({"x_values": "1-5"}, "5 pictures."),
        ({"x_values": "7"}, "1 picture."),
        ({"x_values": "1, 2, 3", "y_type": "Sampler", "y_values_dropdown": ["Euler", "DDIM"]}, "6 pictures: 3 × 2."),
        ({"x_values": "x"}, "X/Y/Z plot: 'x' is no value for Seed."),
    ],
)
def test_how_many_pictures_it_will_be(given: dict[str, Any], line: str) -> None:
    assert count_line(plot(**given), "txt2img") == line


def test_pasted_values_stand_where_they_can_be_seen() -> None:
    pasted = plot(x_type="Sampler", x_values='Euler, "a, b"', y_type="Steps", y_values="1-3")
    controls = script_controls({"X/Y/Z plot": pasted})
    shown = {name.rsplit("/")[-1]: value for name, value in controls.items()}
    assert (shown["x_values"], shown["x_values_dropdown"]) == ("", ["Euler", "a, b"])
    assert (shown["y_values"], shown["y_values_dropdown"]) == ("1-3", [])
    typed = script_controls({"X/Y/Z plot": {**pasted, "csv_mode": True}})
    assert typed["script/x_y_z_plot/x_values"] == 'Euler, "a, b"'
