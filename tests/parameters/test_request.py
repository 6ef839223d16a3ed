"""The request as it is declared, checked, and resolved into what applies."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from modules.parameters import (
    GenerationRequest,
    Parameter,
    RequestError,
    ResolvedRequest,
    declared_parameters,
    fixed_seeds,
    parameter_of,
    parse_request,
    resolve,
)
from modules.parameters.declaration import SAME_AS_PAGE
from modules.settings.choices import IMG2IMG, TXT2IMG

DECLARED = {declared.name: declared for declared in declared_parameters(GenerationRequest)}


def test_every_field_a_person_sets_is_declared() -> None:
    assert set(DECLARED) == set(GenerationRequest.model_fields) - {
        "mode",
        "from_program",
        "makes_grid",
        "disable_extra_networks",
        "batch",
        "scripts",
        "extras",
        "merger",
    }


def test_labels_and_infotext_keys_are_unique_where_they_must_be() -> None:
    keys = [declared.parameter.infotext for declared in DECLARED.values() if declared.parameter.infotext]
    assert len(set(keys)) == len(keys)
    assert all(declared.parameter.label for declared in DECLARED.values())


def test_sliders_hold_their_default_and_lie_within_what_is_accepted() -> None:
    for declared in DECLARED.values():
        low, high = declared.parameter.minimum, declared.parameter.maximum
        if low is None or high is None:
            continue
        assert low < high
        for value in (low, high):
            parse_request({declared.name: value})
        default = declared.default_for("img2img" if declared.parameter.modes == IMG2IMG else "txt2img")
        if isinstance(default, int | float) and default >= 0:
            assert low <= default <= high, declared.name


def test_defaults_for_page_and_api() -> None:
    steps, strength = DECLARED["steps"], DECLARED["denoising_strength"]
    assert (steps.default_for("txt2img"), steps.default_for("txt2img", api=True)) == (20, 50)
    assert (strength.default_for("txt2img"), strength.default_for("img2img")) == (0.7, 0.75)
    assert DECLARED["width"].default_for("img2img", api=True) == 512
    assert DECLARED["inpainting_fill"].default_for("img2img", api=True) == 0
    assert DECLARED["styles"].default_for("txt2img") == ()
    assert repr(SAME_AS_PAGE) == "SAME_AS_PAGE"


def test_declarations_are_found_by_name() -> None:
    assert parameter_of(GenerationRequest, "cfg_scale").parameter.label == "CFG Scale"
    assert parameter_of(GenerationRequest, "enable_hr").parameter.modes == TXT2IMG
    for name in ("mode", "nonsense"):
        with pytest.raises(KeyError):
            parameter_of(GenerationRequest, name)


def test_a_field_without_declaration_is_passed_over() -> None:
    class Model(BaseModel):
        plain: int = 1

    assert list(declared_parameters(Model)) == []
    assert Parameter("x").modes == TXT2IMG | IMG2IMG


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": 0}, "Sampling steps is 0: input should be greater than or equal to 1."),
        ({"steps": "abc"}, "Sampling steps is 'abc': input should be a valid integer"),
        ({"width": 100}, "Width is 100: it must be a multiple of 8; the nearest is 96."),
        ({"height": 0}, "Height is 0: input should be greater than or equal to 64."),
        ({"height": 1 << 40}, "Height is 1099511627776: input should be less than or equal to 8192."),
        ({"cfg_scale": math.nan}, "CFG Scale is nan: input should be a finite number."),
        ({"denoising_strength": math.inf}, "Denoising strength is inf: input should be"),
        ({"seed": 2**70}, "Seed is 1180591620717411303424: input should be less than or equal to"),
        ({"seed": -2}, "Seed is -2"),
        ({"prompt": "x" * 1_000_001}, "Prompt is 'xxxx"),
        ({"prompt": None}, "Prompt is None: input should be a valid string."),
        ({"mode": "video"}, "mode is 'video': input should be 'txt2img', 'img2img', 'extras' or 'modelmerger'."),
        ({"nonsense": 1}, "nonsense is 1: extra inputs are not permitted."),
        ({"batch_size": 65}, "Batch size is 65"),
        ({"hr_scale": 0}, "Upscale by is 0: input should be greater than 0."),
        ({"resize_mode": 4}, "Resize mode is 4"),
        ({"override_settings": {"a": object()}}, "Override settings is"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(values)
    said = str(refused.value)
    assert said.startswith(sentence) and said.endswith(".") and "\n" not in said and len(said) < 250


def test_a_megabyte_prompt_is_accepted() -> None:
    assert len(parse_request({"prompt": "x" * 1_000_000}).prompt) == 1_000_000


def test_requests_are_frozen() -> None:
    with pytest.raises(ValidationError):
        GenerationRequest().steps = 5  # type: ignore[misc]  # frozen, which is tested


def test_the_multiple_of_8_that_is_named_can_be_used() -> None:
    for side in (65, 67, 100, 8190, 8188):
        with pytest.raises(RequestError) as refused:
            parse_request({"width": side})
        nearest = int(str(refused.value).removesuffix(".").rpartition(" ")[2])
        assert parse_request({"width": nearest}).width % 8 == 0


def test_seeds_count_up_over_the_whole_job() -> None:
    seeds, subseeds = fixed_seeds(GenerationRequest(seed=10, subseed=20, n_iter=2, batch_size=3), random.Random(0))
    assert seeds == (10, 11, 12, 13, 14, 15) and subseeds == (20, 21, 22, 23, 24, 25)


def test_with_a_variation_only_its_seed_counts_up() -> None:
    request = GenerationRequest(seed=10, subseed=20, subseed_strength=0.1, n_iter=3)
    assert fixed_seeds(request, random.Random(0)) == ((10, 10, 10), (20, 21, 22))


def test_drawn_seeds_are_in_a1111s_range_and_depend_on_the_generator_only() -> None:
    drawn = [fixed_seeds(GenerationRequest(), random.Random(n)) for n in range(200)]
    assert all(0 <= seeds[0] <= 4294967293 and 0 <= subseeds[0] <= 4294967293 for seeds, subseeds in drawn)
    assert len(set(drawn)) == 200
    assert fixed_seeds(GenerationRequest(), random.Random(7)) == drawn[7]


def test_resolving_fixes_the_seeds_and_copies_the_options() -> None:
    options = {"randn_source": "CPU"}
    resolved = resolve(
        GenerationRequest(n_iter=2), options=options, rng=random.Random(3), checkpoint="x", notices=("n",)
    )
    options["randn_source"] = "GPU"
    assert resolved.options == {"randn_source": "CPU"}
    assert resolved.request.seed == resolved.seeds[0] >= 0 and resolved.request.subseed == resolved.subseeds[0]
    assert (resolved.image_count, resolved.checkpoint, resolved.vae, resolved.notices) == (2, "x", None, ("n",))


@given(st.integers(-1, 2**64 - 1), st.integers(1, 5), st.integers(1, 5), st.sampled_from([0.0, 0.5]))
def test_what_was_resolved_comes_back_from_json_and_resolves_to_itself(
    seed: int, count: int, size: int, strength: float
) -> None:
    request = GenerationRequest(seed=seed, n_iter=count, batch_size=size, subseed_strength=strength, prompt="猫\n")
    resolved = resolve(request, options={"a": [1.5, None]}, rng=random.Random(seed))
    assert len(resolved.seeds) == len(resolved.subseeds) == resolved.image_count == count * size
    back = ResolvedRequest.model_validate_json(resolved.model_dump_json())
    assert back == resolved
    again = resolve(back.request, options=back.options, rng=random.Random())
    assert (again.seeds, again.subseeds) == (resolved.seeds, resolved.subseeds)
