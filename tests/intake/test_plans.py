"""What pictures each script makes, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from modules.features.loopback.declare import LoopbackArguments
from modules.features.loopback.plan import loop_strengths
from modules.features.makers import MAKERS
from modules.features.plans import PLANS, plan_of
from modules.features.table import SELECTABLE
from modules.parameters import GenerationRequest, RequestError, parse_request


def scripted(
    title: str, arguments: Mapping[str, object] | None = None, mode: str = "img2img", **values: object
) -> GenerationRequest:
    start = {"init_images": ("picture",)} if mode == "img2img" else {}
    return parse_request({"mode": mode, "scripts": {title: arguments or {}}, **start, **values})


def test_every_script_is_declared_planned_and_made() -> None:
    titles = {script.title for script in SELECTABLE}
    assert titles == set(PLANS) == set(MAKERS)
    assert len(titles) >= 1


def test_a_plain_request_has_no_plan() -> None:
    assert plan_of(GenerationRequest()) is None


def test_a_script_without_its_picture_is_refused() -> None:
    with pytest.raises(RequestError, match="Loopback starts from a picture, and 0 came with the request"):
        plan_of(scripted("Loopback", init_images=()))


@pytest.mark.parametrize(
    ("curve", "strengths"),
    [
        ("Linear", [0.8, 0.7, 0.6, 0.5, 0.4]),
        ("Aggressive", [0.8 - 0.4 * math.sin(math.pi / 2 * share / 4) for share in range(5)]),
        ("Lazy", [0.8 - 0.4 * (1 - math.cos(math.pi / 2 * share / 4)) for share in range(5)]),
    ],
)
def test_loopback_goes_from_the_first_strength_to_the_final_one(curve: str, strengths: Any) -> None:
    arguments = LoopbackArguments.read({"loops": 5, "denoising_curve": curve, "final_denoising_strength": 0.4})
    assert loop_strengths(0.8, arguments) == pytest.approx(strengths)


def test_loopback_counts_the_seed_through_all_batches_and_goes_on_from_what_is_under_the_mask() -> None:
    plan = plan_of(
        scripted("Loopback", {"loops": 2}, n_iter=2, batch_size=4, denoising_strength=0.75, inpainting_fill=0)
    )
    assert plan is not None
    assert [picture.seed for picture in plan] == [0, 1, 2, 3]
    assert [picture.fields["denoising_strength"] for picture in plan] == [0.75, 0.5] * 2
    assert [picture.fields.get("inpainting_fill") for picture in plan] == [None, 1] * 2


def test_too_many_loops_are_refused_before_anything_starts() -> None:
    with pytest.raises(RequestError, match="Loopback would make 1,000,000 pictures; at most 5,000 go at once"):
        plan_of(scripted("Loopback", {"loops": 1000}, n_iter=1000))


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
def test_what_cannot_be_done_is_said_before_anything_starts(
    title: str, arguments: dict[str, Any], values: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        plan_of(scripted(title, arguments, **values))


def test_seeds_count_up_by_picture() -> None:
    upscaled = plan_of(scripted("SD upscale", n_iter=3, batch_size=4))
    outpainted = plan_of(scripted("Outpaint", n_iter=2, batch_size=2))
    varied = plan_of(scripted("Outpaint", batch_size=3, subseed_strength=0.5))
    assert upscaled and outpainted and varied
    assert [picture.seed for picture in upscaled] == [0, 1, 2]
    assert [(picture.seed, picture.subseed) for picture in outpainted] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [(picture.seed, picture.subseed) for picture in varied] == [(0, 0), (0, 1), (0, 2)]


def test_a_prompt_matrix_goes_through_its_parts_as_a_binary_number() -> None:
    request = scripted("Prompt matrix", {"different_seeds": True}, mode="txt2img", prompt="a cat|red,| big")
    plan = plan_of(request)
    assert plan is not None
    assert [picture.fields["prompt"] for picture in plan] == ["a cat", "a cat, red", "a cat, big", "a cat, red, big"]
    assert [picture.seed for picture in plan] == [0, 1, 2, 3]
    arguments = {"put_at_start": True, "variations_delimiter": "space", "prompt_type": "negative"}
    request = scripted("Prompt matrix", arguments, mode="txt2img", negative_prompt="dark|blurred")
    assert [picture.fields["negative_prompt"] for picture in plan_of(request) or ()] == ["dark", "blurred dark"]
    with pytest.raises(RequestError, match="Prompt matrix would make 8,192 pictures"):
        plan_of(scripted("Prompt matrix", mode="txt2img", prompt="|" * 13))


def test_prompts_from_a_list_change_what_their_lines_say() -> None:
    lines = (
        "a dog\n\n--prompt 'a cat' --steps 7 --width 64 --seed 5 --n_iter 2\nit's -- odd\n--negative_prompt dark red"
    )
    arguments = {"prompts": lines, "iterate_seed": True}
    request = scripted("Prompts from file or textbox", arguments, mode="txt2img", prompt="oil", seed=100)
    plan = plan_of(request)
    assert plan is not None
    assert [picture.fields.get("prompt") for picture in plan] == [
        *["a dog oil", "a cat oil", "a cat oil", "it's -- odd oil", None]
    ]
    assert [picture.fields.get("seed") for picture in plan] == [None, 5, 6, None, None]
    assert (plan[1].fields["steps"], plan[1].fields["width"]) == (7, 64)
    assert plan[4].fields["negative_prompt"] == "dark red"
    assert [picture.seed for picture in plan] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (" \n", "the list is empty"),
        ("a cat\n--steps many", "Line 2 of the prompts: --steps is 'many', which is no number."),
        ("--steps", "Line 1 of the prompts: --steps has no value."),
        ("a cat --steps 2", "Line 1 of the prompts: 'a' belongs to no option: write --prompt before it."),
        ("--prompt a cat --ar 16:9", "Line 1 of the prompts: there is no option --ar."),
        ("--prompt the dogs' ball --steps 2", "Line 1 of the prompts: a quote is opened and not closed"),
        ('--prompt "a cat --steps 2', "Line 1 of the prompts: a quote is opened and not closed"),
        ("--prompt a cat --tiling perhaps", "--tiling is 'perhaps', which is neither true nor false."),
    ],
)
def test_a_list_of_prompts_that_cannot_be_read_is_one_sentence(prompts: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        plan_of(scripted("Prompts from file or textbox", {"prompts": prompts}, mode="txt2img"))


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("--prompt a dog's ball --steps 2", "a dog's ball"),
        ("--prompt 'a dog's ball' --steps 2", "a dog's ball"),
        ('--prompt "a dog\'s \\"ball\\"" --steps 2', 'a dog\'s "ball"'),
        ("--steps 2 --prompt l'été -- à l'ombre", "l'été -- à l'ombre"),
    ],
)
def test_an_apostrophe_between_letters_is_no_quote(line: str, prompt: str) -> None:
    arguments = {"prompts": line}
    (picture,) = plan_of(scripted("Prompts from file or textbox", arguments, mode="txt2img", seed=1)) or ()
    assert (picture.fields["prompt"], picture.fields["steps"]) == (prompt, 2)


def test_without_a_seed_each_line_has_another_one() -> None:
    arguments = {"prompts": "a cat\na dog"}
    plan = plan_of(scripted("Prompts from file or textbox", arguments, mode="txt2img", batch_size=2))
    same = plan_of(scripted("Prompts from file or textbox", {**arguments, "same_seed": True}, mode="txt2img"))
    assert plan and same
    assert plan[1].seed - plan[0].seed == plan[3].seed - plan[2].seed == 1
    assert plan[0].seed != plan[2].seed
    assert [picture.seed for picture in same] == [0, 0]


def test_a_sequence_has_one_seed_and_needs_its_second_prompt_or_picture() -> None:
    plan = plan_of(scripted("Interpolate prompts", {"frames": 3, "second_prompt": "b"}, mode="txt2img", n_iter=2))
    assert plan is not None
    assert [(picture.seed, picture.towards) for picture in plan] == [
        *((seed, ("b", share)) for seed in (0, 1) for share in (0.0, 0.5, 1.0))
    ]
    with pytest.raises(RequestError, match="Second prompt is empty"):
        plan_of(scripted("Interpolate prompts", mode="txt2img"))
    with pytest.raises(RequestError, match="Interpolate pictures starts from 2 pictures, and 1 came with the request"):
        plan_of(scripted("Interpolate pictures"))


def test_a_plot_has_a_cell_for_each_combination() -> None:
    axes = {"x_type": "Steps", "x_values": "1-2", "y_type": "Prompt S/R", "y_values": "cat, dog", "vary_seeds_y": True}
    more = {"z_type": "Clip skip", "z_values": "1, 2"}
    plan = plan_of(scripted("X/Y/Z plot", axes | more, mode="txt2img", prompt="a cat", n_iter=3))
    assert plan is not None
    assert [(picture.fields["steps"], picture.fields["prompt"]) for picture in plan] == [
        *[(1, "a cat"), (2, "a cat"), (1, "a dog"), (2, "a dog")] * 2
    ]
    assert [picture.overrides["CLIP_stop_at_last_layers"] for picture in plan] == [1] * 4 + [2] * 4
    assert [picture.seed for picture in plan] == [0, 0, 1, 1] * 2
    with pytest.raises(RequestError, match="Prompt S/R did not find cow in prompt or negative prompt"):
        plan_of(scripted("X/Y/Z plot", {**axes, "y_values": "cow, cat"}, mode="txt2img", prompt="a cat"))
    with pytest.raises(RequestError, match="the grid would have 262 megapixels"):
        plan_of(scripted("X/Y/Z plot", {"x_values": "1-1000"}, mode="txt2img"))
