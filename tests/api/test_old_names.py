"""Names of samplers as old infotexts and clients write them, at every door through which one comes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules.api.bodies import Txt2ImgBody
from modules.api.submission import generation_request
from modules.features.plans import plan_of
from modules.intake.intake import resolve_names
from modules.parameters import GenerationRequest, parse_infotext, parse_request, request_from_infotext
from modules.settings import OptionStore

NAMES = [
    ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
    ("dpm++ 2m karras", "DPM++ 2M", "Karras"),
    ("k_dpmpp_2m_ka", "DPM++ 2M", "Karras"),
    ("k_euler_a", "Euler a", "Automatic"),
    ("EULER A", "Euler a", "Automatic"),
    ("DPM++ 2M SDE Exponential", "DPM++ 2M SDE", "Exponential"),
    ("DPM++ 2M SDE Karras", "DPM++ 2M SDE", "Karras"),
    ("Euler sgm uniform", "Euler", "SGM Uniform"),
    ("LMS Karras", "LMS", "Karras"),
    ("ddim", "DDIM", "Automatic"),
]


def _body(**fields: Any) -> GenerationRequest:
    store = OptionStore(Path("no-such-folder") / "config.json")
    services: Any = SimpleNamespace(options=store, catalogue=SimpleNamespace(checkpoints=lambda: ()))
    return generation_request(services, Txt2ImgBody(**fields), "txt2img").request


def _hires_body(**fields: Any) -> GenerationRequest:
    return _body(enable_hr=True, sampler_name="Heun", **fields)


def _pasted(first: str, hires: str = "") -> GenerationRequest:
    more = f", Denoising strength: 0.5, Hires upscale: 2, Hires sampler: {hires}" if hires else ""
    parsed = parse_infotext(f"x\nSteps: 5, Sampler: {first}, CFG scale: 7, Seed: 1, Size: 64x64{more}")
    return parse_request(request_from_infotext(parsed, {}).fields)


def _scripted(title: str, arguments: dict[str, Any], **fields: Any) -> GenerationRequest:
    request = parse_request({"scripts": {title: arguments}, **fields})
    (picture,) = plan_of(request) or ()
    return request.model_copy(update=dict(picture.fields))


def _plotted(axis: str, name: str, **fields: Any) -> GenerationRequest:
    return _scripted("X/Y/Z plot", {"x_type": axis, "x_values": name}, **fields)


def _listed(tag: str, name: str) -> GenerationRequest:
    return _scripted("Prompts from file or textbox", {"prompts": f'--prompt x --{tag} "{name}"'})


def _by_script_args(name: str) -> GenerationRequest:
    line = f'--prompt "a cat" --sampler_name "{name}"'
    request = _body(script_name="prompts from file or textbox", script_args=[False, False, "start", line])
    (picture,) = plan_of(request) or ()
    return request.model_copy(update=dict(picture.fields))


# Each takes a name, and gives a request whose last pass is made with it.
DOORS: dict[str, Callable[[str], GenerationRequest]] = {
    "API sampler_name": lambda name: _body(sampler_name=name),
    "API sampler_index": lambda name: _body(sampler_index=name),
    "API hr_sampler_name": lambda name: _hires_body(hr_sampler_name=name),
    "API infotext": lambda name: _body(infotext=f"x\nSteps: 5, Sampler: {name}, CFG scale: 7, Seed: 1, Size: 64x64"),
    "API script_args": _by_script_args,
    "infotext": _pasted,
    "infotext, hires": lambda name: _pasted("Heun", name),
    "X/Y/Z": lambda name: _plotted("Sampler", name),
    "X/Y/Z, hires": lambda name: _plotted("Hires sampler", name, enable_hr=True, sampler_name="Heun"),
    "list --sampler_name": lambda name: _listed("sampler_name", name),
    "list --sampler_index": lambda name: _listed("sampler_index", name),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("name", "sampler", "schedule"), NAMES)
def test_an_old_name_is_understood(door: str, name: str, sampler: str, schedule: str) -> None:
    _, samplers, notices = resolve_names(DOORS[door](name))
    last = samplers[-1]
    assert (last.sampler.label, last.applied_schedule.label, notices) == (sampler, schedule, ())
