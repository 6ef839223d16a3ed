"""Prompts that are drawn before a job is queued: for each picture by its seed, or all that there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from modules.catalogue.networks import NetworkList
from modules.features.dynamic_prompts.declare import DynamicPromptsArguments
from modules.features.infotext import script_values
from modules.intake.intake import Intake
from modules.parameters import GenerationRequest, RequestError, ResolvedRequest, parse_request
from modules.prompt.dynamic import WildcardFiles
from tests.features.test_guidance_arguments import by_program
from tests.intake.test_intake import intake

Resolve = Callable[..., ResolvedRequest]


@pytest.fixture
def room(tmp_path: Path) -> Intake:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "pets.txt").write_text("cat\ndog\n<lora:fish:1> fish\n")
    files = WildcardFiles(lambda: [tmp_path / "wildcards"])
    return replace(intake(tmp_path, "cat.safetensors"), wildcards=files.snapshot)


@pytest.fixture
def resolve(room: Intake) -> Resolve:
    def made(prompt: str, more: dict[str, Any] | None = None, /, **arguments: Any) -> ResolvedRequest:
        scripts = {"Dynamic Prompts": {"is_enabled": True, **arguments}}
        fields = {"prompt": prompt, "seed": 5, **(more or {})}
        fields["scripts"] = {**scripts, **fields.get("scripts", {})}
        return room.resolve(GenerationRequest.model_validate(fields))

    return made


def prompts(resolved: ResolvedRequest, field: str = "prompt") -> list[str]:
    return [getattr(resolved.of_image(index).request, field) for index in range(resolved.image_count)]


def test_off_it_changes_nothing(room: Intake) -> None:
    resolved = room.resolve(GenerationRequest(prompt="{a|b} __pets__", n_iter=3))
    assert prompts(resolved) == ["{a|b} __pets__"] * 3 and not resolved.variants


def test_each_picture_has_its_own_by_its_seed_alone(resolve: Resolve) -> None:
    template = "{1$$a|b|c|d|e|f} __pets__"
    first = resolve(template, {"n_iter": 4, "batch_size": 2})
    assert prompts(first) == prompts(resolve(template, {"n_iter": 8}))
    assert len(set(prompts(first))) > 3 and list(first.seeds) == list(range(5, 13))
    assert prompts(resolve(template, {"seed": 8})) == prompts(first)[3:4]
    same_seed = resolve(template, {"n_iter": 8, "subseed_strength": 0.5})
    assert len(set(prompts(same_seed))) == 1
    assert prompts(resolve(prompts(first)[2], {"seed": 7})) == prompts(first)[2:3]


def test_a_seed_that_is_left_to_chance_is_the_pictures_and_the_prompts(resolve: Resolve) -> None:
    drawn = resolve("{a|b|c|d|e|f|g|h}", {"seed": -1, "n_iter": 3})
    again = resolve("{a|b|c|d|e|f|g|h}", {"seed": drawn.seeds[0], "n_iter": 3})
    assert prompts(drawn) == prompts(again) and drawn.seeds == again.seeds


def test_one_seed_for_all_and_prompts_by_chance(resolve: Resolve) -> None:
    fixed = resolve("{a|b|c|d|e|f|g|h|i|j}", {"n_iter": 6}, use_fixed_seed=True)
    assert set(fixed.seeds) == {5} and len(set(prompts(fixed))) > 2
    loose = [prompts(resolve("{a|b|c|d|e|f|g|h|i|j}", unlink_seed_from_prompt=True))[0] for _ in range(8)]
    assert len(set(loose)) > 2


def test_every_combination_is_a_picture(resolve: Resolve) -> None:
    combined = resolve("{a|b} {c|d}", {"n_iter": 9}, is_combinatorial=True)
    assert prompts(combined) == ["a c", "a d", "b c", "b d"] and list(combined.seeds) == [5, 6, 7, 8]
    twice = resolve("{a|b}", is_combinatorial=True, combinatorial_batches=2, use_fixed_seed=True)
    assert prompts(twice) == ["a", "b", "a", "b"] and set(twice.seeds) == {5}
    assert prompts(resolve("{a|b|c}", is_combinatorial=True, max_generations=2)) == ["a", "b"]
    with pytest.raises(RequestError, match="at most 5,000"):
        resolve("{a|b|c|d|e|f|g|h|i|j}" * 4, is_combinatorial=True)


def test_the_negative_prompt_is_a_template_only_where_that_is_wanted(resolve: Resolve) -> None:
    fields = {"negative_prompt": "{x|y}", "n_iter": 6}
    assert set(prompts(resolve("a", fields), "negative_prompt")) == {"{x|y}"}
    drawn = prompts(resolve("a", fields, disable_negative_prompt=False), "negative_prompt")
    assert set(drawn) == {"x", "y"}


def test_styles_and_comments_belong_to_the_template(resolve: Resolve) -> None:
    drawn = resolve("{a|b} # {c|d}", {"styles": ["oil"], "n_iter": 4})
    assert {text.split()[0].rstrip(",") for text in prompts(drawn)} <= {"a", "b"}
    assert not any("{" in text for text in prompts(drawn))


def test_the_prompt_that_a_script_goes_towards_has_its_styles_and_is_drawn_too(resolve: Resolve) -> None:
    between = {"Interpolate prompts": {"second_prompt": "{c|d}", "frames": 3}}
    first, middle, last = prompts(resolve("{a|b}", {"styles": ["oil"], "scripts": between}))
    assert first in ("a, oil", "b, oil") and last in ("c, oil", "d, oil")
    assert middle == f"{first} :0.5 AND {last} :0.5"


def test_hires_prompts_are_drawn_with_the_others(resolve: Resolve) -> None:
    hires = {"enable_hr": True, "hr_prompt": "{big|huge} ${pet}", "n_iter": 4}
    drawn = resolve("${pet=!{cat|dog}}${pet}", hires)
    pairs = zip(prompts(drawn), prompts(drawn, "hr_prompt"), strict=True)
    assert all(second.split()[1] == first and second.split()[0] in ("big", "huge") for first, second in pairs)


def test_a_plots_cells_are_drawn_from_their_own_templates(resolve: Resolve) -> None:
    axes = {"x_type": "Prompt S/R", "x_values": "red,blue", "y_type": "Seed", "y_values": "1,2"}
    drawn = resolve("red {a|b|c|d}", {"scripts": {"X/Y/Z plot": axes}})
    reds, blues = prompts(drawn)[::2], prompts(drawn)[1::2]
    assert [text.replace("red", "blue") for text in reds] == blues and "{" not in "".join(reds)
    assert list(drawn.seeds) == [1, 1, 2, 2]


def test_programs_that_speak_to_the_extension_are_understood() -> None:
    given: list[JsonValue] = [
        True,
        True,
        3,
        False,
        False,
        False,
        1.1,
        1.5,
        100,
        0.7,
        True,
        False,
        False,
        False,
        False,
        7,
        "gpt2",
        "",
    ]
    for title in ("Dynamic Prompts v2.17.1", "dynamic prompts v3", "Dynamic Prompts"):
        scripts = by_program(title, [*given])
        arguments = DynamicPromptsArguments.of(parse_request({"scripts": scripts}).scripts)
        assert (arguments.is_combinatorial, arguments.combinatorial_batches) == (True, 3)
        assert (arguments.use_fixed_seed, arguments.disable_negative_prompt) == (True, False)
        assert arguments.max_generations == 7
    assert parse_request({"scripts": by_program("Dynamic Prompts v1", [False, True])}).scripts == {}


def test_pictures_say_what_they_were_drawn_of(resolve: Resolve) -> None:
    drawn = resolve("a {b|c}")
    assert dict(script_values(drawn.of_image(0).request.scripts)) == {"Template": "a {b|c}"}
    plain = resolve("a", {"n_iter": 2})
    assert dict(script_values(plain.of_image(0).request.scripts)) == {}


def test_what_is_missing_or_not_here_is_said(resolve: Resolve) -> None:
    assert resolve("__nope__").notices == ("There is no wildcard 'nope': it was left as it stands.",)
    assert "Jinja" in resolve("a", enable_jinja_templates=True).notices[0]


def test_tags_are_those_of_the_prompts_that_were_drawn(room: Intake) -> None:
    scripts = {"Dynamic Prompts": {"is_enabled": True, "is_combinatorial": True}}
    request = GenerationRequest(prompt="a <lora:{ink|oil}:1>", scripts=scripts)
    notices = replace(room, networks=lambda kind: NetworkList(())).resolve(request).notices
    assert any("ink" in notice for notice in notices) and not any("{" in notice for notice in notices)
