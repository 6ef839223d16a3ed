"""What pictures each script makes, before anything runs."""

from __future__ import annotations

import math

import pytest

from modules.generation.scripts import MAKERS
from modules.jobs.plans import PLANS, plan_of
from modules.jobs.plans.loopback import loop_strengths
from modules.parameters import GenerationRequest, RequestError, parse_request
from modules.parameters.scripts import SELECTABLE


def asked(title: str, arguments: dict | None = None, mode: str = "img2img", **values: object) -> GenerationRequest:
    start = {"init_images": ("picture",)} if mode == "img2img" else {}
    return parse_request({"mode": mode, "scripts": {title: arguments or {}}, **start, **values})


def test_every_script_is_declared_planned_and_made():
    titles = {script.title for script in SELECTABLE}
    assert titles == set(PLANS) == set(MAKERS)
    assert len(titles) >= 1


def test_a_plain_request_has_no_plan():
    assert plan_of(GenerationRequest()) is None


def test_a_script_without_its_picture_is_refused():
    with pytest.raises(RequestError, match="Loopback starts from a picture, and 0 came with the request"):
        plan_of(asked("Loopback", init_images=()))


@pytest.mark.parametrize(
    ("curve", "strengths"),
    [
        ("Linear", [0.8, 0.7, 0.6, 0.5, 0.4]),
        ("Aggressive", [0.8 - 0.4 * math.sin(math.pi / 2 * share / 4) for share in range(5)]),
        ("Lazy", [0.8 - 0.4 * (1 - math.cos(math.pi / 2 * share / 4)) for share in range(5)]),
    ],
)
def test_loopback_goes_from_the_first_strength_to_the_final_one(curve, strengths):
    arguments = {"loops": 5, "denoising_curve": curve, "final_denoising_strength": 0.4}
    assert loop_strengths(0.8, arguments) == pytest.approx(strengths)


def test_loopback_counts_the_seed_through_all_batches_and_goes_on_from_what_is_under_the_mask():
    plan = plan_of(asked("Loopback", {"loops": 2}, n_iter=2, batch_size=4, denoising_strength=0.75, inpainting_fill=0))
    assert plan is not None
    assert [picture.seed for picture in plan] == [0, 1, 2, 3]
    assert [picture.fields["denoising_strength"] for picture in plan] == [0.75, 0.5] * 2
    assert [picture.fields.get("inpainting_fill") for picture in plan] == [None, 1] * 2


def test_too_many_loops_are_refused_before_anything_starts():
    with pytest.raises(RequestError, match="1000 loops times 1000 batches are more than 5,000"):
        plan_of(asked("Loopback", {"loops": 1000}, n_iter=1000))


@pytest.mark.parametrize(
    ("title", "arguments", "values", "said"),
    [
        ("SD upscale", {"overlap": 64}, {"width": 64}, "SD upscale: tiles of 64x512 can't overlap by 64 pixels"),
        ("SD upscale", {}, {"mask": "mask"}, "SD upscale takes no mask"),
        ("Outpainting mk2", {"direction": []}, {}, "Outpainting mk2: no direction is chosen"),
        ("Poor man's outpainting", {"direction": []}, {}, "Poor man's outpainting: no direction is chosen"),
        ("Poor man's outpainting", {"pixels": 512}, {}, "tiles of 512x512 must be larger than the 512 pixels"),
        ("Outpaint", {"direction": []}, {}, "Outpaint: no direction is chosen"),
        ("Outpaint", {}, {"mask": "mask"}, "Outpaint takes no mask"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(title, arguments, values, said):
    with pytest.raises(RequestError, match=said):
        plan_of(asked(title, arguments, **values))


def test_seeds_count_up_by_picture():
    upscaled = plan_of(asked("SD upscale", n_iter=3, batch_size=4))
    outpainted = plan_of(asked("Outpaint", n_iter=2, batch_size=2))
    varied = plan_of(asked("Outpaint", batch_size=3, subseed_strength=0.5))
    assert upscaled and outpainted and varied
    assert [picture.seed for picture in upscaled] == [0, 1, 2]
    assert [(picture.seed, picture.subseed) for picture in outpainted] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [(picture.seed, picture.subseed) for picture in varied] == [(0, 0), (0, 1), (0, 2)]
