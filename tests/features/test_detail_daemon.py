"""Detail Daemon: its curve, what it shows to each side, and its units from programs and in pictures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import JsonValue

from modules.features.declaration import checked_arguments
from modules.features.detail_daemon.declare import DETAIL_DAEMON, DetailUnit, detail_units
from modules.features.detail_daemon.run import DetailDaemon, DetailDaemonFeature, adjustment
from modules.parameters import parse_infotext, parse_request, request_from_infotext
from modules.sampling import CallPosition
from tests.features.test_guidance_arguments import by_program, infotext_of

PLAIN = {"enabled": True, "smooth": False, "amount": 1, "start": 0.2, "end": 0.8}


def unit(**values: Any) -> DetailUnit:
    checked = checked_arguments(DETAIL_DAEMON, {"units": [PLAIN | values]})
    (found,) = detail_units({DETAIL_DAEMON.title: checked})
    return found


def curve(**values: Any) -> list[float]:
    return [adjustment(unit(**values), CallPosition(call, 11, range(1))) for call in range(11)]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, [0, 0, 0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0, 0]),
        ({"exponent": 2}, [0, 0, 0, 1 / 9, 4 / 9, 1, 4 / 9, 1 / 9, 0, 0, 0]),
        ({"smooth": True}, [0, 0, 0, 0.25, 0.75, 1, 0.75, 0.25, 0, 0, 0]),
        ({"bias": 0}, [0, 0, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0, 0, 0]),
        ({"start_offset": 0.4, "end_offset": -0.5}, [0.4, 0.4, 0.4, 0.6, 0.8, 1, 0.5, 0, -0.5, -0.5, -0.5]),
        ({"fade": 0.5}, [0, 0, 0, 1 / 6, 1 / 3, 0.5, 1 / 3, 1 / 6, 0, 0, 0]),
    ],
)
def test_the_adjustment_rises_to_its_amount_and_falls(values: dict[str, Any], wanted: list[float]) -> None:
    assert curve(**values) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("mode", "positive", "negative"), [("both", 0.3, 0.3), ("cond", 0.9, 1.0), ("uncond", 1.0, 1.1)]
)
def test_each_side_is_shown_its_level(mode: str, positive: float, negative: float) -> None:
    """In the middle of the run, at CFG scale 7."""
    hook = DetailDaemon([unit(mode=mode)], 7.0)
    at = CallPosition(5, 11, range(1))
    shown = [float(hook.shown_level(torch.tensor(1.0), at, negative=side)) for side in (False, True)]
    assert shown == pytest.approx([positive, negative])
    assert float(DetailDaemon([unit(amount=5)], 7.0).shown_level(torch.tensor(1.0), at, negative=False)) > 0


@pytest.mark.parametrize("is_hires", [False, True])
def test_a_unit_acts_in_its_pass_and_not_where_it_adds_nothing(is_hires: bool) -> None:
    units = [PLAIN, PLAIN | {"hires": True, "amount": 2}, PLAIN | {"amount": 0}, {}]
    scripts = parse_request({"scripts": {"Detail Daemon": {"units": units}}}).scripts
    job: Any = SimpleNamespace(resolved=SimpleNamespace(request=SimpleNamespace(scripts=scripts)))
    context: Any = SimpleNamespace(is_hires=is_hires, work=SimpleNamespace(spec=SimpleNamespace(cfg_scale=7.0)))
    (hook,) = DetailDaemonFeature(job).before_pass(context)
    assert isinstance(hook, DetailDaemon)
    assert [one.amount for one in hook._units] == [2 if is_hires else 1]


def test_units_come_from_a_program_into_pictures_and_back() -> None:
    first: list[JsonValue] = [True, False, "both", 0.2, 0.8, 0.5, 0.1, 1, 0, 0, 0, True]
    third: list[JsonValue] = [True, True, "cond", 0.1, 0.9, 0.4, -0.5, 2, 0.1, -0.1, 0.2, False]
    request = parse_request({"scripts": by_program("detail daemon", [True, *first, *([None] * 12), *third])})
    text = infotext_of(request.scripts)
    assert "D1:1,0,both,0.1,0.2,0.8,0.5,1,0,0,0,1;D3:1,1,cond,-0.5,0.1,0.9,0.4,2,0.1,-0.1,0.2,0" in text
    pasted = request_from_infotext(parse_infotext(text), {})
    assert pasted.notices == ()
    assert pasted.fields["scripts"] == request.scripts
    assert parse_request({"scripts": by_program("detail daemon", [False, *first])}).scripts == {}


def test_a_picture_of_the_extension_is_read_and_a_broken_text_is_reported() -> None:
    line = "Steps: 20, Sampler: Euler, Seed: 3, Detail Daemon: "
    pasted = request_from_infotext(parse_infotext(f'a\n{line}"D1:1,0,both,0.1,0.2,0.8,0.5,1.0,0.0,0.0,0.0,1"'), {})
    (found,) = detail_units(pasted.fields["scripts"])
    assert (found.amount, found.mode, found.smooth) == (0.1, "both", True)
    broken = request_from_infotext(parse_infotext(f'a\n{line}"D1:1,0"'), {})
    assert broken.fields["scripts"] == {}
    assert any("'D1:1,0'" in notice for notice in broken.notices)
