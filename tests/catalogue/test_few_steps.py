"""What LoRAs for few steps want: known by their names, written down once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modules.catalogue.few_steps import KINDS, as_table, few_step_settings
from modules.parameters.samplers import sampler_labels
from modules.parameters.schedules import schedule_labels
from modules.settings import OPTIONS


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lcm-lora-sdv1-5", "LCM: LCM, steps 4 to 8, CFG scale 1 to 2"),
        ("sdxl_lightning_4step_lora", "Lightning: Euler, SGM Uniform, steps 4, CFG scale 1"),
        ("Hyper-SDXL-1step-lora", "Hyper, 1 step: TCD, eta_tcd 0.3, steps 1, CFG scale 1"),
        ("Hyper-SD15-12steps-CFG-lora", "Hyper with CFG: Euler, SGM Uniform, steps 12, CFG scale 5 to 8"),
        ("Hyper-SDXL-8steps-lora", "Hyper: Euler, SGM Uniform, steps 8, CFG scale 1"),
        ("dmd2_sdxl_4step_lora", "DMD2: LCM, SGM Uniform, lcm_distilled_timesteps off, steps 4, CFG scale 1"),
        ("tcd-sdxl-lora", "TCD: TCD, eta_tcd 0.3, steps 4 to 8, CFG scale 1"),
        ("hyperrealism", ""),
        ("lightning bolts", ""),
        ("filmcam, 20 steps", ""),
    ],
)
def test_a_name_says_what_a_lora_wants(name: str, settings: str) -> None:
    assert few_step_settings(["any", name]) == settings


def test_what_is_wanted_is_there_and_stands_in_the_documentation() -> None:
    for kind in KINDS:
        assert kind.sampler in sampler_labels() and kind.schedule in ("", *schedule_labels())
        assert all(option in OPTIONS for option in re.findall("`(.*?)`", kind.more))
    root = Path(__file__).parents[2]
    assert as_table() in (root / "docs" / "networks.md").read_text("utf-8")
