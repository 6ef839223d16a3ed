"""A job's options as typed groups: each field is a declared option, and nothing else reads the mapping."""

from __future__ import annotations

import ast
from dataclasses import fields, replace
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from modules.parameters import ResolvedRequest, Variant, parse_request, resolve
from modules.parameters.infotext_options import Recording, StoredWeights
from modules.parameters.job_options import (
    EncodingOptions,
    IntakeOptions,
    JobOptions,
    TokenMergingOptions,
    job_option_groups,
)
from modules.parameters.load_options import CheckpointChoice, LoadOptions, VaeChoice
from modules.parameters.output_options import FileNameOptions
from modules.parameters.pasting_options import PastingOptions
from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import UnknownSamplerError
from modules.settings import OPTIONS, OptionError
from modules.settings.groups import option_keys, read_options
from tests import source_rules as rules

GROUPS: tuple[type[Any], ...] = (
    *job_option_groups().values(),
    *(StoredWeights, LoadOptions, FileNameOptions, IntakeOptions, CheckpointChoice, VaeChoice, PastingOptions),
)
# Read where no job is.
OUTSIDE_JOBS = (PastingOptions,)
FIELDS = [(group, name, key) for group in GROUPS for name, key in option_keys(group).items()]


def resolved(options: dict[str, Any] | None = None, **fields: object) -> ResolvedRequest:
    request = parse_request({"seed": 1, "subseed": 1, **fields})
    return resolve(request, options=options or {}, rng=None)  # type: ignore[arg-type]  # a missing kind fails the test


def kind_of(wanted: object) -> str:
    """The kinds of option that a field of this type can hold."""
    if get_origin(wanted) is Literal:
        return "choice"
    assert not isinstance(wanted, UnionType)
    names = {bool: "switch", int: "whole", float: "number", str: "text choice colour", tuple[str, ...]: "texts"}
    return names[wanted]  # type: ignore[index]  # a missing kind fails the test


@pytest.mark.parametrize(("group", "name", "key"), FIELDS, ids=[f"{g.__name__}.{n}" for g, n, _ in FIELDS])
def test_each_field_is_a_declared_option_of_its_type(group: type[Any], name: str, key: str) -> None:
    declared, wanted = OPTIONS[key], get_type_hints(group)[name]
    assert declared.kind in kind_of(wanted).split()
    assert getattr(group(), name) == ("" if declared.default is None else declared.default)
    if get_origin(wanted) is Literal:
        assert declared.choices == get_args(wanted)
    assert declared.changes_picture or declared.travels or group in OUTSIDE_JOBS, "a job does not carry this option"


def test_there_are_groups_and_all_of_their_fields_are_options() -> None:
    assert len(GROUPS) >= 16 and len(FIELDS) > 100
    assert all(len(option_keys(group)) == len(fields(group)) > 0 for group in GROUPS)


def test_values_are_read_by_their_keys_and_what_is_missing_has_its_default() -> None:
    read = read_options(EncodingOptions, {"CLIP_stop_at_last_layers": 2, "emphasis": None, "clip_skip": 7})
    assert read == EncodingOptions(clip_skip=2)
    assert JobOptions.of({}) == JobOptions(**{name: group() for name, group in job_option_groups().items()})


def test_text_becomes_numbers_and_switches() -> None:
    read = read_options(SamplerOptions, {"eta_noise_seed_delta": "31337", "rho": "2.5", "pad_cond_uncond": "True"})
    assert (read.eta_noise_seed_delta, read.rho, read.pad_cond_uncond) == (31337, 2.5, True)
    assert read_options(SamplerOptions, {"eta_noise_seed_delta": 2**63 - 1}).eta_noise_seed_delta == 2**63 - 1
    assert read_options(LoadOptions, {"checkpoint_memory": ["a: medvram"]}).checkpoint_memory == ("a: medvram",)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_rows": "many"}, "The option n_rows must be a number, not 'many'."),
        ({"n_rows": float("inf")}, "The option n_rows must be a number, not inf."),
        ({"emphasis": "Loud"}, "The option emphasis must be one of None, Ignore, Original, No norm, not 'Loud'."),
    ],
)
def test_a_value_that_cannot_be_used_is_named_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError) as raised:
        _ = resolved(options).settings
    assert str(raised.value) == sentence


def test_a_list_is_wanted_where_a_group_holds_one() -> None:
    with pytest.raises(OptionError, match="checkpoint_memory must be a list, not 'a: medvram'"):
        read_options(LoadOptions, {"checkpoint_memory": "a: medvram"})


def test_settings_are_read_once_and_a_changed_copy_has_its_own() -> None:
    first = resolved({"tiling": True, "token_merging_ratio": 0.5})
    assert first.settings is first.settings and first.passes is first.passes
    assert first.is_tiled and first.passes[0].token_merging == 0.5
    copy = first.model_copy(update={"options": {}})
    assert not copy.is_tiled and copy.passes[0].token_merging == 0
    assert not first.model_copy(update={"request": first.request.model_copy(update={"tiling": False})}).is_tiled
    assert first.of_image(0).settings is first.settings


def test_a_picture_with_options_of_its_own_has_them_read_anew() -> None:
    own = (Variant(), Variant(options={"CLIP_stop_at_last_layers": 2}))
    both = resolved({"tiling": True}).model_copy(update={"seeds": (1, 2), "subseeds": (1, 2), "variants": own})
    settings = both.settings
    assert both.of_image(0).settings is settings and settings.encoding.clip_skip == 1
    assert both.of_image(1).settings.encoding.clip_skip == 2 and both.of_image(1).is_tiled


def test_every_option_that_infotext_records_has_a_typed_value() -> None:
    run = Recording.with_options(parse_request({}), {"fp8_storage": "Enable", "eta_ancestral": "0.5"})
    assert (run.value("fp8_storage"), run.value("eta_ancestral")) == ("Enable", 0.5)
    # What only the engine knows: checkpoint and VAE.
    facts = {"sd_model_checkpoint", "sd_vae"}
    recorded = {key: one for key, one in OPTIONS.items() if one.infotext is not None and key not in facts}
    assert len(recorded) > 35
    defaults = Recording.with_options(parse_request({}), {})
    assert {key: defaults.value(key) for key in recorded} == {key: one.default for key, one in recorded.items()}
    assert not any(run.had_effect(key) for key in facts)


def test_what_the_queue_stores_has_the_options_as_they_came() -> None:
    first = resolved({"tiling": True})
    assert first.settings and first.passes
    assert set(first.model_dump()) == set(ResolvedRequest.model_fields)
    assert ResolvedRequest.model_validate_json(first.model_dump_json()) == resolved({"tiling": True})


def test_the_passes_of_a_request_with_hires_fix() -> None:
    first, hires = resolved(
        {"token_merging_ratio_hr": 0.3},
        prompt="a cat", steps=20, sampler_name="Heun", scheduler="Karras", width=512, height=768,
        enable_hr=True, hr_scale=1.5, hr_prompt="a lion", hr_cfg=3, denoising_strength=0.4,
    ).passes  # fmt: skip
    assert (first.prompt, first.steps, first.cfg_scale, first.size) == ("a cat", 20, 7.0, (512, 768))
    assert first.strength is None and first.first_calls is None and first.token_merging == 0
    assert hires.choice == first.choice and hires.choice.applied_schedule.label == "Karras"
    assert hires == replace(
        first,
        prompt="a lion", cfg_scale=3.0, size=(768, 1152), strength=0.4, exact_steps=True, first_calls=40,
        token_merging=0.3,
    )  # fmt: skip


def test_the_hires_pass_may_have_its_own_sampler_and_steps() -> None:
    _, hires = resolved(
        enable_hr=True, hr_sampler_name="Euler", hr_scheduler="Beta", hr_second_pass_steps=5, negative_prompt="fog"
    ).passes
    assert (hires.choice.sampler.label, hires.choice.schedule.label, hires.steps) == ("Euler", "Beta", 5)
    assert hires.negative_prompt == "fog"


def test_img2img_has_one_pass_that_starts_from_a_picture() -> None:
    (only,) = resolved({"token_merging_ratio_img2img": 0.2}, mode="img2img", enable_hr=True).passes
    assert only.strength == 0.7 and only.token_merging == 0.2
    assert TokenMergingOptions(ratio=0.1).first_pass("img2img") == 0.1


# Where options may be read by key: where they are declared and stored, and where each is served under its own name.
READERS = (
    *("modules.api.options", "modules.page.option_controls", "modules.page.settings_tab"),
    "modules.jobs.option_changes",
)


def test_only_the_reader_looks_into_a_mapping_of_options() -> None:
    files = [one for one in rules.sources() if one.room != "settings" and one.name not in READERS]
    assert len(files) > 300
    assert [found for one in files for found in rules.option_lookups(one)] == []


# Rooms that options reach as typed groups only.
TYPED_ROOMS = ("engine", "gallery", "generation", "hardware", "parameters", "sampling", "text", "upscaling", "weights")


def test_rooms_of_the_work_ask_no_store_for_an_option() -> None:
    files = [one for one in rules.sources() if one.room in TYPED_ROOMS]
    assert {one.room for one in files} == set(TYPED_ROOMS)
    assert [found for one in files for found in rules.store_lookups(one)] == []
    text = "x = self._options.switch('grid_save')"
    assert list(rules.store_lookups(rules.source(rules.ROOT / "modules" / "gallery" / "made_up.py", text)))


@pytest.mark.parametrize("name", READERS)
def test_each_file_that_may_read_options_by_key_does(name: str) -> None:
    (file,) = (one for one in rules.sources() if one.name == name)
    assert list(rules.option_lookups(file))


@pytest.mark.parametrize(
    "text",
    [
        "x = resolved.options.get('tiling', False)",
        "def f(options):\n    return options.get('tiling')",
        "x = file.options['fp8_storage']",
        "x = job.resolved.options[key]",
    ],
)
def test_a_lookup_by_key_is_found(text: str) -> None:
    assert list(rules.option_lookups(rules.source(rules.ROOT / "modules" / "engine" / "made_up.py", text)))


@pytest.mark.parametrize(
    "text",
    [
        "x = resolved.settings.grids.rows",
        "x = axis.options[0]",
        "x = cache.get('options')",
        "options: dict[str, object] = {}",
    ],
)
def test_what_reads_no_option_is_not(text: str) -> None:
    assert not list(rules.option_lookups(rules.source(rules.ROOT / "modules" / "engine" / "made_up.py", text)))


SAME = ("Use same checkpoint", "Use same sampler", "Use same scheduler")


def test_what_the_hires_pass_shares_is_typed_once() -> None:
    """The words of A1111 for it, among all the sources."""
    texts = [
        node.value
        for one in rules.sources()
        for node in ast.walk(one.tree)
        if isinstance(node, ast.Constant) and node.value in SAME
    ]
    assert sorted(texts) == sorted(SAME)


def test_a_sampler_that_is_in_no_table_is_refused_when_its_passes_are_made() -> None:
    with pytest.raises(UnknownSamplerError, match="There is no sampler 'Eulre'"):
        _ = resolved(sampler_name="Eulre").passes
