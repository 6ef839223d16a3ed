"""What the tables list and what this room can run are the same."""

from __future__ import annotations

import inspect
from pathlib import Path

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import SAMPLERS, sampler_labels
from modules.sampling import SAMPLER_FUNCTIONS
from modules.sampling.samplers import RANGE_SAMPLERS, STEP_CONTROLLED_SAMPLERS


def test_each_sampler_of_the_table_has_its_function() -> None:
    assert list(SAMPLER_FUNCTIONS) == list(sampler_labels())[: len(SAMPLER_FUNCTIONS)]
    assert len(SAMPLER_FUNCTIONS) == len(SAMPLERS) >= 25
    assert set(SAMPLER_FUNCTIONS) >= RANGE_SAMPLERS | STEP_CONTROLLED_SAMPLERS


def test_each_sampler_fits_on_a_screen_and_names_its_source() -> None:
    for label, function in SAMPLER_FUNCTIONS.items():
        lines, _ = inspect.getsourcelines(function)
        assert len(lines) <= 40, label
        assert function.__doc__, label


def test_the_page_on_exactness_lists_every_sampler() -> None:
    page = (Path(__file__).parents[2] / "docs" / "exactness.md").read_text(encoding="utf-8")
    for label in sampler_labels():
        assert f"| {label} |" in page, f"run python -m benchmarks.exactness: {label} is missing"


def test_settings_and_etas_of_the_table_are_options() -> None:
    known = set(SamplerOptions.__slots__)
    for entry in SAMPLERS:
        assert set(entry.settings) <= known, entry.label
        assert entry.eta is None or entry.eta in known, entry.label
