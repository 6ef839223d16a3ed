"""From infotext to a request: what is restored, what becomes an override, what is said; and the whole way round."""

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.parameters import (
    GenerationRequest,
    declared_parameters,
    parse_infotext,
    parse_request,
    request_from_infotext,
    resolve,
    write_infotext,
)
from modules.parameters.infotext_request import LocalFile
from modules.parameters.job_options import TokenMergingOptions
from modules.parameters.pass_samplers import sampler_choices
from modules.parameters.samplers import SAMPLERS
from modules.parameters.schedules import SCHEDULES
from modules.settings import OPTIONS
from modules.settings.groups import read_options

LINE = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768"


class LocalFiles:
    """A machine with one of everything."""

    def checkpoint(self, name: str, sha256: str) -> LocalFile | None:
        known = sha256[:1] in ("a", "b")
        return LocalFile("here.safetensors [aaaaaaaaaa]", sha256 == "aaaaaaaaaa") if known else None

    def vae(self, name: str, sha256: str) -> LocalFile | None:
        return LocalFile(name, sha256 != "bbbbbbbbbb") if name == "here.vae.pt" else None

    def module(self, name: str) -> LocalFile | None:
        return LocalFile(f"{name}.safetensors") if name == "qwen_3_4b" else None

    def network(self, name: str, sha256: str) -> LocalFile | None:
        return LocalFile("my/ink", sha256.startswith("0f1e")) if sha256.startswith("0f") else None

    def embedding(self, name: str, sha256: str) -> LocalFile | None:
        return LocalFile(name) if name == "EasyNegative" else None


def paste(text: str, options: dict[str, Any] | None = None, files: LocalFiles | None = None) -> Any:
    return request_from_infotext(parse_infotext(text), options or {}, models=files)


def test_a_plain_picture() -> None:
    fields, overrides, notices = paste(f"a cat\nNegative prompt: dog\n{LINE}")
    assert parse_request(fields) == GenerationRequest(
        prompt="a cat", negative_prompt="dog", sampler_name="Euler a", seed=5, height=768
    )
    assert (overrides, notices) == ({}, ())


def test_text_without_parameters_fills_the_prompts_only() -> None:
    assert paste("a cat\nNegative prompt: dog") == ({"prompt": "a cat", "negative_prompt": "dog"}, {}, ())


def test_settings_that_differ_become_overrides() -> None:
    text = f"a (cat)\n{LINE}, Clip skip: 2, ENSD: 31337, RNG: CPU, NGMS: 2.5, Eta: 0.67, Pad conds: True"
    assert paste(text).override_settings == {
        "CLIP_stop_at_last_layers": 2,
        "eta_noise_seed_delta": 31337,
        "randn_source": "CPU",
        "s_min_uncond": 2.5,
        "eta_ancestral": 0.67,
        "pad_cond_uncond": True,
    }
    same = {
        "CLIP_stop_at_last_layers": 2,
        "eta_noise_seed_delta": 31337,
        "randn_source": "CPU",
        "s_min_uncond": 2.5,
        "eta_ancestral": 0.67,
        "pad_cond_uncond": True,
    }
    assert paste(text, same).override_settings == {}


def test_what_a_text_does_not_say_is_at_its_default() -> None:
    ours = {"CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337, "emphasis": "No norm", "uni_pc_order": 2}
    # No bracket in the prompt: emphasis has no effect. Euler a: no UniPC.
    assert paste(f"a cat\n{LINE}", ours).override_settings == {
        "CLIP_stop_at_last_layers": 1,
        "eta_noise_seed_delta": 0,
    }
    assert paste(f"a (cat)\n{LINE}", {"emphasis": "No norm"}).override_settings == {"emphasis": "Original"}


def test_tiling_is_a_field() -> None:
    assert paste(f"a\n{LINE}, Tiling: True").fields["tiling"] is True
    assert paste(f"a\n{LINE}").fields["tiling"] is None
    assert paste(f"a\n{LINE}", {"tiling": True}).fields["tiling"] is False


def test_variation_and_hires_are_off_when_not_said() -> None:
    fields = paste(f"a\n{LINE}").fields
    assert fields["subseed_strength"] == 0 and fields["seed_resize_from_w"] == 0 and fields["enable_hr"] is False


@pytest.mark.parametrize(
    ("extra", "hires"),
    [
        ("Denoising strength: 0.5, Hires upscale: 2", True),
        ("Denoising strength: 0.5, Hires upscaler: Latent", True),
        ("Denoising strength: 0.5, Hires resize: 1024x0", True),
        ("Denoising strength: 0.5, First pass size: 0x0", True),
        ("Hires upscale: 2", False),
        # A1111 turns hires on for this one, which is an img2img picture.
        ("Denoising strength: 0.5", False),
    ],
)
def test_hires(extra: str, hires: bool) -> None:
    assert paste(f"a\n{LINE}, {extra}").fields["enable_hr"] is hires


def test_inpainting_words_become_numbers() -> None:
    fields = paste(
        f"a\n{LINE}, Mask blur: 8, Mask mode: Inpaint not masked, Inpaint area: Only masked, "
        "Masked area padding: 48, Masked content: latent noise"
    ).fields
    assert (fields["mask_blur_x"], fields["mask_blur_y"], fields["inpainting_mask_invert"]) == (8, 8, 1)
    assert (fields["inpaint_full_res"], fields["inpaint_full_res_padding"], fields["inpainting_fill"]) == (True, 48, 2)


def test_old_samplers_and_hires_samplers() -> None:
    fields = paste(
        "a\nSteps: 20, Sampler: DPM++ 2M SDE Karras, CFG scale: 7, Denoising strength: 0.5, "
        "Hires upscale: 2, "
        "Hires sampler: k_euler_a, Hires schedule type: karras"
    ).fields
    assert (fields["sampler_name"], fields["scheduler"]) == ("DPM++ 2M SDE", "Karras")
    assert (fields["hr_sampler_name"], fields["hr_scheduler"]) == ("Euler a", "Karras")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Steps: many, Sampler: Euler, CFG scale: 7", "'many' can't be taken over as steps"),
        ("Steps: 20, Sampler: Dreamy, CFG scale: 7", "There is no sampler 'Dreamy'"),
        ("Steps: 20, Sampler: Euler, Seed: 99999999999999999999999", "can't be taken over as seed"),
        ("Steps: 20, Sampler: Euler, Size: 500x512", "The width of 500 became 496"),
        ("Steps: 20, Sampler: Euler, RNG: Dice", "RNG is 'Dice', which that setting can't take"),
        ("Steps: 20, Sampler: Euler, ENSD: 1e999", "ENSD is '1e999', which that setting can't take"),
        ("Steps: 20, Sampler: Euler, Masked content: jelly", "Masked content is 'jelly', which is none of"),
        ("Steps: 20, Sampler: Euler, Hires Distilled CFG Scale: 3", "takes over: Hires Distilled CFG Scale."),
        (
            "Steps: 20, Sampler: Euler, AddNet Enabled: True, AddNet Module 1: LoRA, AddNet Model 1: ink(0a1b), "
            "AddNet Weight A 1: 0.5, AddNet Weight B 1: 0.5, AddNet Module 2: LoCon, AddNet Model 2: oil(2c3d)",
            "takes over: AddNet Module 2, AddNet Model 2.",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_named(text: str, said: str) -> None:
    pasted = paste(text)
    assert len(pasted.notices) == 1 and said in pasted.notices[0]
    parse_request(pasted.fields)


def test_a_refiner_is_taken_over_by_its_hash_and_missed_where_it_is_not_here() -> None:
    text = f"a\n{LINE}, Refiner: old [{{}}], Refiner switch at: 0.6"
    here = paste(text.format("aaaaaaaaaa"), files=LocalFiles())
    assert here.fields["refiner_checkpoint"] == "here.safetensors [aaaaaaaaaa]"
    assert here.fields["refiner_switch_at"] == 0.6 and here.notices == ()
    gone = paste(text.format("ffffffffff"), files=LocalFiles())
    assert gone.fields["refiner_checkpoint"] == ""
    assert gone.notices == ("The refiner old [ffffffffff] is not here; the picture will differ without it.",)
    assert paste(f"a\n{LINE}", files=LocalFiles()).fields["refiner_checkpoint"] == "", "silence means none"


def test_models_that_are_here_and_not_here() -> None:
    text = (
        f"<lora:ink:0.8> <lora:gone>\n{LINE}, Model: old, Model hash: {{}}, "
        'Lora hashes: "ink: 0f1e2d3c4b5a, gone: bbbbbbbbbbbb", '
        'TI hashes: "EasyNegative: c74b4e810b03, lost: 123456789abc", VAE hash: 1234567890, VAE: no.pt'
    )
    pasted = paste(text.format("aaaaaaaaaa"), {"disable_weights_auto_swap": False}, LocalFiles())
    assert pasted.fields["prompt"] == "<lora:my/ink:0.8> <lora:gone>"
    assert pasted.override_settings == {"sd_model_checkpoint": "here.safetensors [aaaaaaaaaa]"}
    assert pasted.notices == (
        "The LoRA gone (bbbbbbbbbbbb) is not here; the picture will differ without it.",
        "The embedding lost (123456789abc) is not here; its name is read as plain words.",
        "The VAE no.pt [1234567890] is not here; the loaded one stays.",
    )
    missing = paste(text.format("ffffffffff"), {"disable_weights_auto_swap": False}, LocalFiles())
    assert (
        "This picture was made with old [ffffffffff], which is not here; the loaded checkpoint stays."
        in missing.notices
    )
    unswitched = paste(text.format("aaaaaaaaaa"), {}, LocalFiles())
    assert unswitched.override_settings == {}
    assert any("the loaded checkpoint stays, as the settings say" in notice for notice in unswitched.notices)
    other = paste(text.format("bbbbbbbbbb"), {"disable_weights_auto_swap": False}, LocalFiles())
    assert other.notices[2] == (
        "The checkpoint old is here, but as another file than bbbbbbbbbb; the picture will differ."
    )
    loaded = paste(text.format("aaaaaaaaaa"), {"sd_model_checkpoint": "here.safetensors [aaaaaaaaaa]"}, LocalFiles())
    assert not any("checkpoint" in notice for notice in loaded.notices)


def test_a_vae_that_is_here() -> None:
    pasted = paste(f"a\n{LINE}, VAE: here.vae.pt", {}, LocalFiles())
    assert pasted.override_settings == {"sd_vae": "here.vae.pt"} and pasted.notices == ()


def test_a_file_of_the_same_name_with_another_hash_is_reported() -> None:
    pasted = paste(f'<lora:a,b:1>\n{LINE}, Lora hashes: "ab: 0fffffffffff", VAE: here.vae.pt, VAE hash: bbbbbbbbbb', {},
                   LocalFiles())  # fmt: skip
    assert pasted.fields["prompt"] == "<lora:my/ink:1>"
    assert pasted.notices == (
        "The LoRA ab is here, but as another file than 0fffffffffff; the picture will differ.",
        "The VAE here.vae.pt is here, but as another file than bbbbbbbbbb; the picture will differ.",
    )


@pytest.mark.parametrize("in_force", [{}, {"token_merging_ratio": 0.3}, {"token_merging_ratio_img2img": 0.6}])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5])
def test_a_picture_made_from_another_merges_as_its_text_says_whatever_is_in_force(
    in_force: dict[str, Any], ratio: float
) -> None:
    text = f"a\n{LINE}, Denoising strength: 0.6" + (f", Token merging ratio: {ratio}" if ratio else "")
    parsed = {
        key: value for key, value in parse_infotext(text).items() if key not in ("Hires resize-1", "Hires resize-2")
    }
    overrides = request_from_infotext(parsed, in_force).override_settings
    assert read_options(TokenMergingOptions, in_force | overrides).first_pass("img2img") == ratio


def test_keys_that_the_user_leaves_alone() -> None:
    pasted = paste(f"a\n{LINE}, Clip skip: 2", {"infotext_skip_pasting": ("Seed", "Clip skip")})
    assert "seed" not in pasted.fields and pasted.override_settings == {}


KEYS = [
    declared.parameter.infotext for declared in declared_parameters(GenerationRequest) if declared.parameter.infotext
]
KEYS += [option.infotext for option in OPTIONS.values() if option.infotext]
KEYS += ["Lora hashes", "TI hashes", "Model", "VAE hash", "Something else"]


def test_a_megabyte_in_any_value_is_taken_over_or_refused_in_time() -> None:
    for unit in ("9", "a", "a: ", "0f1e,", "x: 0f1e, ", "<lora:", "(", "Karras "):
        start = time.process_time()
        for key in KEYS:
            parsed = parse_infotext(f"a\n{LINE}") | {key: unit * (1_000_000 // len(unit))}
            request_from_infotext(parsed, {}, models=LocalFiles())
        assert time.process_time() - start < 8.0, unit


def test_no_values_raise_and_whatever_is_taken_over_can_be_used() -> None:
    rng = random.Random(4)
    pieces = [
        "",
        "-1",
        "0",
        "7",
        "7.5",
        "1e999",
        "nan",
        "inf",
        "True",
        "False",
        "512x512",
        "999999999999999999999",
        "x" * 400,
        "猫",
        "Automatic",
        "Karras",
        "Euler a Karras",
        "Inpaint masked",
        "\0",
        "9" * 5000,
        "-" + "9" * 30,
        "٣",
    ]
    for _ in range(1500):
        parsed = parse_infotext("(a) <lora:b:1>")
        parsed |= {rng.choice(KEYS): rng.choice(pieces) for _ in range(rng.randrange(12))}
        pasted = request_from_infotext(parsed, {}, models=LocalFiles())
        request = parse_request(pasted.fields)
        for key, value in pasted.override_settings.items():
            OPTIONS[key].checked(value)
        write_infotext(resolve(request, options=pasted.override_settings, rng=rng), 0, {})
        assert all(len(notice) < 410 for notice in pasted.notices)


SCHEDULE_LABELS = [schedule.label for schedule in SCHEDULES]
SAMPLER_LABELS = [sampler.label for sampler in SAMPLERS]
LAST_LINE = "Steps: 1, Sampler: Euler, CFG scale: 7"


def survives_the_format(prompt: str) -> bool:
    """Whether the format itself can hold a prompt: its lines are stripped, and its marker cannot be escaped."""
    lines = prompt.split("\n")
    return (
        prompt == prompt.strip()
        and all(line == line.strip() for line in lines)
        and not any(line.startswith("Negative prompt:") for line in lines)
    )


words = st.sampled_from(
    ["cat", "(a:1.2)", "a, b", "Steps: 20", '"q"', "\n", " ", "[x|y]", "512x512", "<lora:a:1>", "猫", LAST_LINE]
)


def without_marker(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("Negative prompt:", "").strip().split("\n")).strip()


characters = st.characters(exclude_categories=["Cs"])
prompts = st.one_of(st.text(characters, max_size=60), st.lists(words, max_size=8).map("".join))
prompts = prompts.map(without_marker).filter(survives_the_format)
sides = st.integers(8, 1024).map(lambda side: side * 8)
shares = st.floats(0, 1).map(lambda value: round(value, 4))
scales = st.floats(0, 1000, allow_nan=False)
seeds = st.integers(0, 2**32)
common = {
    "prompt": prompts,
    "negative_prompt": prompts,
    "steps": st.integers(1, 1000),
    "sampler_name": st.sampled_from(SAMPLER_LABELS),
    "scheduler": st.sampled_from(SCHEDULE_LABELS),
    "cfg_scale": scales,
    "seed": seeds,
    "width": sides,
    "height": sides,
    "tiling": st.sampled_from([None, True]),
}
variation = {
    "subseed": seeds,
    "subseed_strength": shares.filter(bool),
    "seed_resize_from_w": st.integers(1, 2048),
    "seed_resize_from_h": st.integers(1, 2048),
}
hires = {
    "enable_hr": st.just(True),
    "denoising_strength": shares,
    "hr_upscaler": st.sampled_from(["Latent", "R-ESRGAN 4x+", "odd, name: [x]"]),
    "hr_second_pass_steps": st.integers(0, 1000),
    "hr_checkpoint_name": st.sampled_from(["Use same checkpoint", "a [0123456789]"]),
    "hr_sampler_name": st.sampled_from(["Use same sampler", *SAMPLER_LABELS]),
    "hr_scheduler": st.sampled_from(["Use same scheduler", *SCHEDULE_LABELS]),
    "hr_prompt": st.text(characters, max_size=30),
    "hr_negative_prompt": prompts,
    "hr_cfg": st.none() | scales,
}
refined = {
    "refiner_checkpoint": st.just("b [0123456789]"),
    "refiner_switch_at": st.integers(1, 99).map(lambda share: share / 100),
}
scaled = {"hr_scale": st.floats(0.01, 16)}
resized = {"hr_resize_x": st.integers(1, 8192), "hr_resize_y": st.integers(0, 8192)}
img2img = {"mode": st.just("img2img"), "denoising_strength": shares, "image_cfg_scale": st.none() | scales}
blurs = st.integers(1, 256)
inpainting = {
    "mask": st.just("mask"),
    "inpainting_mask_invert": st.integers(0, 1),
    "inpainting_fill": st.integers(0, 3),
    "inpaint_full_res": st.just(True),
    "inpaint_full_res_padding": st.integers(0, 8192),
}
requests = st.one_of(
    st.fixed_dictionaries(common),
    st.fixed_dictionaries(common | variation),
    st.fixed_dictionaries(common | hires | scaled | refined),
    st.fixed_dictionaries(common | hires | resized | variation),
    st.fixed_dictionaries(common | img2img | refined),
    st.tuples(st.fixed_dictionaries(common | img2img | inpainting), blurs).map(
        lambda pair: pair[0] | {"mask_blur_x": pair[1], "mask_blur_y": pair[1]}
    ),
)


@given(requests)
def test_every_request_survives_the_way_round(values: Any) -> None:
    request = GenerationRequest(**values)
    resolved = resolve(request, options={}, rng=random.Random(0))
    pasted = request_from_infotext(parse_infotext(write_infotext(resolved, 0, {"Version": "v1.10.1"})), {})
    assert pasted.notices == () and pasted.override_settings == {}
    back = GenerationRequest(**pasted.fields)
    for name in values.keys() - {"mode", "mask", *SPELLED_OTHERWISE}:
        assert getattr(back, name) == getattr(request, name), name
    assert applied(back) == applied(request)
    assert (back.hr_prompt or back.prompt) == (request.hr_prompt or request.prompt)
    assert (back.hr_negative_prompt or back.negative_prompt) == (request.hr_negative_prompt or request.negative_prompt)


# Two spellings of one picture: Automatic and the schedule it stands for, an empty hires prompt and the same prompt.
SPELLED_OTHERWISE = {"scheduler", "hr_sampler_name", "hr_scheduler", "hr_prompt", "hr_negative_prompt"}


def applied(request: GenerationRequest) -> list[tuple[str, str | None]]:
    """Sampler and schedule of each pass, as they run."""
    return [(choice.sampler.label, choice.recorded_schedule) for choice in sampler_choices(request)]


WRITTEN = {
    key: option
    for key, option in OPTIONS.items()
    if option.infotext and key not in ("sd_model_checkpoint", "sd_vae", "face_restoration", "tiling")
}


def values_of(key: str) -> st.SearchStrategy[Any]:
    option = OPTIONS[key]
    if option.kind == "switch":
        return st.booleans()
    if option.choices:
        return st.sampled_from(option.choices)
    low, high = option.minimum or 0, option.maximum if option.maximum is not None else 2**31
    return st.integers(int(low), int(high)) if option.kind == "whole" else st.floats(low, high, allow_nan=False)


@given(
    st.sampled_from(SAMPLER_LABELS),
    st.sampled_from(SCHEDULE_LABELS),
    st.fixed_dictionaries({}, optional={key: values_of(key) for key in WRITTEN}),
)
def test_options_survive_as_overrides_and_no_others_appear(sampler: Any, schedule: Any, options: Any) -> None:
    request = GenerationRequest(prompt="a (cat)", sampler_name=sampler, scheduler=schedule, enable_hr=True)
    # Where it is 0 the first pass's ratio applies, and that is recorded.
    options = options | {"token_merging_ratio_hr": read_options(TokenMergingOptions, options).hires_pass}
    text = write_infotext(resolve(request, options=options, rng=random.Random(0)), 0, {})
    parsed = parse_infotext(text)
    overrides = request_from_infotext(parsed, {}).override_settings
    for key, value in overrides.items():
        assert options[key] == value
    for key, value in options.items():
        recorded = f"{OPTIONS[key].infotext}: " in text.split("\n")[-1]
        assert (key in overrides) == (recorded and value != OPTIONS[key].default)
    # Whatever is in force when it is pasted, pasting leads to the same text again.
    pasted = request_from_infotext(parsed, options)
    fields = GenerationRequest(**pasted.fields)
    again = resolve(fields, options=options | pasted.override_settings, rng=random.Random(0))
    assert write_infotext(again, 0, {}) == text


def test_a_prompt_longer_than_any_is_read_without_an_error() -> None:
    pasted = paste(f"{'(' * 1_000_001}\nSteps: 5, Sampler: Euler, Seed: 1, Size: 64x64, Emphasis: No norm")
    assert len(pasted.fields["prompt"]) == 1_000_001
    assert pasted.override_settings["emphasis"] == "No norm"


def test_text_encoders_of_forge_are_chosen_where_they_are_here() -> None:
    text = f"a\n{LINE}, Module 1: qwen_3_4b, Module 2: gone, Shift: 6"
    fields, overrides, notices = paste(text, {}, LocalFiles())
    assert overrides["forge_additional_modules"] == ["qwen_3_4b.safetensors"]
    assert fields["distilled_cfg_scale"] == 6
    flux = paste(f"a\n{LINE}, Distilled CFG Scale: 2.5, Hires Distilled CFG Scale: 2.5")
    assert flux.fields["distilled_cfg_scale"] == 2.5 and not [one for one in flux.notices if "Distilled" in one]
    assert [notice for notice in notices if "gone" in notice] == [
        "The module gone is not here: what alone fits is used."
    ]
    chosen = {"forge_additional_modules": ["qwen_3_4b.safetensors"]}
    assert "forge_additional_modules" not in paste(f"a\n{LINE}, Module 1: qwen_3_4b", chosen, LocalFiles())[1]
    assert not [notice for notice in paste(f"a\n{LINE}, Module 1: qwen_3_4b")[2] if "Module" in notice]
