"""Guidance's arguments on their ways: from programs, into pictures and out of them, and along axes."""

from __future__ import annotations

import random
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import JsonValue

from modules.api.scripts import requested_scripts
from modules.features.declaration import Argument, Script
from modules.features.guidance import GUIDANCE
from modules.features.plans import plan_of
from modules.features.runs import RUNS
from modules.features.table import ALWAYS_ON
from modules.parameters import parse_infotext, parse_request, request_from_infotext, write_infotext
from modules.parameters.resolved import resolve
from modules.settings.choices import BOTH

# It has no types.
webuiapi: Any = import_module("webuiapi")
IDS = [script.title for script in GUIDANCE]


def other_than_default(argument: Argument) -> JsonValue:
    match argument.look:
        case "checkbox":
            return not argument.default
        case "textbox":
            return "other"
        case "radio" | "dropdown":
            return next(word for word in argument.choices if word != argument.default)
    assert argument.minimum is not None and argument.maximum is not None and argument.step is not None
    return argument.minimum + argument.step * (2 if argument.default != argument.minimum + argument.step * 2 else 1)


def by_program(title: str, values: list[JsonValue], mode: str = "txt2img") -> dict[str, dict[str, JsonValue]]:
    body: Any = SimpleNamespace(script_name=None, script_args=None, alwayson_scripts={title: {"args": values}})
    services: Any = None
    return requested_scripts(services, body, "img2img" if mode == "img2img" else "txt2img")


def infotext_of(scripts: dict[str, dict[str, JsonValue]]) -> str:
    request = parse_request({"seed": 3, "scripts": scripts})
    return write_infotext(resolve(request, options={}, rng=random.Random(0)), 0, {})


@pytest.mark.parametrize("script", GUIDANCE, ids=IDS)
def test_arguments_come_from_a_program_into_pictures_and_back(script: Script) -> None:
    values = [other_than_default(argument) for argument in script.arguments]
    request = parse_request({"scripts": by_program(script.title, values)})
    assert list(request.scripts[script.title].values()) == pytest.approx(values)
    pasted = request_from_infotext(parse_infotext(infotext_of(request.scripts)), {})
    assert pasted.notices == ()
    assert pasted.fields["scripts"] == request.scripts


@pytest.mark.parametrize("script", GUIDANCE, ids=IDS)
def test_what_is_off_is_nowhere(script: Script) -> None:
    request = parse_request({"scripts": by_program(script.title, [False])})
    assert request.scripts == {}
    assert script in ALWAYS_ON and script.tabs == BOTH and script.title in RUNS


@pytest.mark.parametrize(
    ("name", "title"), [(name, script.title) for script in GUIDANCE for name in script.aliases], ids=str
)
def test_programs_reach_them_by_the_titles_of_extensions(name: str, title: str) -> None:
    assert list(by_program(name.lower(), [True])) == [title]


@pytest.mark.parametrize(
    ("line", "title", "values"),
    [
        ("PAG Active: True, PAG Scale: 2.5", "Perturbed-attention guidance", {"enabled": True, "scale": 2.5}),
        (
            "Dynamic thresholding enabled: True, Mimic scale: 6, Threshold percentile: 95, Mimic mode: Linear Up",
            "Dynamic thresholding",
            {"enabled": True, "mimic_scale": 6, "threshold_percentile": 0.95, "mimic_mode": "Linear Up"},
        ),
        (
            "nag_enabled: True, nag_negative: ugly, nag_scale: 4.0, nag_tau: 2.5, nag_alpha: 0.8",
            "Normalized attention guidance",
            {"enabled": True, "negative": "ugly", "scale": 4, "tau": 2.5, "alpha": 0.8},
        ),
        ("NAG Active: True, NAG Scale: 4.0", "Normalized attention guidance", {"enabled": True, "scale": 4}),
        ("CFG Rescale phi: 0.5", "CFG rescale", {"enabled": True, "phi": 0.5}),
        ("freeu_enabled: True, freeu_b1: 1.3", "FreeU", {"enabled": True, "b1": 1.3, "version": "2"}),
    ],
)
def test_pictures_of_other_programs_are_read(line: str, title: str, values: dict[str, Any]) -> None:
    pasted = request_from_infotext(parse_infotext(f"a cat\nSteps: 20, Sampler: Euler, Seed: 3, {line}"), {})
    assert pasted.notices == ()
    found = pasted.fields["scripts"][title]
    assert {name: found[name] for name in values} == pytest.approx(values)


def test_the_arguments_of_the_nag_extension_are_read_in_its_order() -> None:
    """sd-perturbed-attention's: enabled, negative prompt, scale, tau, alpha, then those of a hires pass."""
    args: list[JsonValue] = [True, "ugly", 4, 2.5, 0.8, "Both", False, 2, 2.5, 0.5, -1, -1, ""]
    values = by_program("Normalized Attention Guidance", args)["Normalized attention guidance"]
    assert list(values.values()) == args[:5]


def test_the_arguments_of_webuiapis_sag_are_read_in_its_order() -> None:
    """The extension for A1111 has no blur between scale and threshold, Forge has."""
    args: list[JsonValue] = webuiapi.Sag(scale=0.6, mask_threshold=1.5).to_dict()
    (values,) = by_program("Self Attention Guidance", args).values()
    assert values == {"enabled": True, "scale": 0.6, "threshold": 1.5}
    (values,) = by_program("SelfAttentionGuidance Integrated", [True, 0.6, 3, 1.5]).values()
    assert values == {"enabled": True, "scale": 0.6, "blur_sigma": 3, "threshold": 1.5}


def test_a_number_of_a_feature_is_an_axis() -> None:
    plot = {"x_type": "[FreeU] B1", "x_values": "1.2, 1.4", "y_type": "[HyperTile] Tile size", "y_values": "64"}
    scripts = {"X/Y/Z plot": plot, "FreeU": {"enabled": True, "s1": 0.5}}
    pictures = plan_of(parse_request({"scripts": scripts})) or ()
    found = [parse_request({"scripts": picture.fields["scripts"]}).scripts for picture in pictures]
    assert [one["FreeU"]["b1"] for one in found] == [1.2, 1.4]
    assert {one["FreeU"]["s1"] for one in found} == {0.5}
    assert {one["HyperTile"]["tile_size"] for one in found} == {64}
    assert all("X/Y/Z plot" in one for one in found)
