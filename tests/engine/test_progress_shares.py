"""How much of a picture's progress its own passes are, and how much those over the finished picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.engine.job_features import share_of_inner, share_of_main
from modules.parameters.resolved import Variant
from tests.engine.conftest import checkpoint_at, job


def share(*passes: dict[str, Any], **request: Any) -> float:
    """Of a job of 20 steps at 64 x 64 with these passes over its pictures."""
    resolved = job(checkpoint_at(Path("tiny.safetensors")), "a", **{"steps": 20} | request).resolved
    over = tuple(Variant(fields={"mode": "img2img", "enable_hr": False} | one) for one in passes)
    return share_of_main(resolved.model_copy(update={"inner": {"Detail": over} if over else {}}))


def test_passes_share_the_bar_by_their_steps_and_pixels() -> None:
    assert share() == 1
    assert share({"denoising_strength": 0.5}) == pytest.approx(20 / 30)
    assert share({"denoising_strength": 0.5, "steps": 40}) == pytest.approx(1 / 2)
    assert share({"denoising_strength": 0.5, "width": 128, "height": 128}) == pytest.approx(20 / 60)
    # Tabs, or parts of a prompt, count once each.
    assert share({"denoising_strength": 0.5}, {"denoising_strength": 0.5}) == pytest.approx(20 / 40)
    hires: dict[str, Any] = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 1, "hr_second_pass_steps": 10}
    assert share({"denoising_strength": 0.5}, **hires) == pytest.approx(60 / 70)


def test_a_pass_that_does_nothing_takes_nothing_of_the_bar() -> None:
    assert share({"denoising_strength": 0.0}) == 1
    assert share({"denoising_strength": 0.0}, mode="img2img", init_images=("a",), denoising_strength=0.0) == 1


def test_passes_over_a_picture_always_go_on() -> None:
    seen = [share_of_inner(number, done) for number in range(4) for done in (0.25, 0.5, 1.0)]
    assert seen == sorted(set(seen)) and seen[0] > 0 and seen[-1] < 1
