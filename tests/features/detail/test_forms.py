"""ADetailer's arguments as its programs send them, as pictures record them, and what passes are planned for them."""

from __future__ import annotations

from typing import Any

import pytest

from modules.features.declaration import ScriptError, checked_arguments
from modules.features.detail.declare import DETAIL, TAB, TITLE, DetailArguments, ordinal
from modules.features.detail.plan import detail_passes
from modules.features.infotext import is_key_of_script, script_values, scripts_from_infotext
from modules.features.table import checked_scripts
from modules.parameters import GenerationRequest, RequestError, parse_infotext, parse_request
from modules.parameters.infotext_values import quote

FACE: dict[str, Any] = {"ad_model": "face_yolov8n.pt"}


def from_api(*args: Any) -> dict[str, Any]:
    assert DETAIL.own is not None
    return checked_scripts({TITLE: DETAIL.own.from_api(args)}, "txt2img").get(TITLE, {})


@pytest.mark.parametrize("before", [(), (True,), (True, False)])
def test_both_switches_before_the_tabs_may_be_missing(before: tuple[bool, ...]) -> None:
    values = from_api(*before, {**FACE, "ad_prompt": "eyes"}, {"ad_model": "hand.onnx"})
    arguments = DetailArguments.of({TITLE: values})
    assert [tab.ad_model for tab in arguments.tabs] == ["face_yolov8n.pt", "hand.onnx"]
    assert (arguments.tabs[0].ad_prompt, arguments.tabs[0].ad_denoising_strength) == ("eyes", 0.4)
    assert not arguments.skip_img2img


def test_img2img_is_skipped_where_the_second_switch_says_so() -> None:
    assert DetailArguments.of({TITLE: from_api(True, True, FACE)}).skip_img2img


@pytest.mark.parametrize(
    "args",
    [
        (),
        (True, False),
        (False, False, FACE),
        ({"ad_model": "None"},),
        ({},),
        ({**FACE, "ad_tab_enable": False},),
    ],
)
def test_without_a_tab_that_acts_it_is_off(args: tuple[Any, ...]) -> None:
    assert from_api(*args) == {}


def test_names_of_other_versions_are_read_or_reported() -> None:
    values = from_api(
        {**FACE, "ad_conf": 45, "ad_mask_k_largest": 2.0, "ad_dilate/erode": "-8", "ad_checkpoint": None, "ad_new": 1}
    )
    (tab,) = DetailArguments.of({TITLE: values}).tabs
    assert (tab.ad_confidence, tab.ad_mask_k, tab.ad_dilate_erode) == (0.45, 2, -8)
    assert DetailArguments.of({TITLE: values}).ignored == ("ad_new",)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (({**FACE, "ad_confidence": 3},), "ADetailer: Confidence is 3: it must be a number from 0 to 1."),
        (({**FACE, "ad_prompt": 3},), "ADetailer: Prompt is 3: it must be a text."),
        ((True, 1), "ADetailer: 1 is no tab; args are whether"),
        ([FACE] * 16, "ADetailer: there are 16 units; at most 15 are possible."),
    ],
)
def test_what_cannot_be_used_is_one_sentence(args: Any, sentence: str) -> None:
    with pytest.raises(ScriptError) as error:
        from_api(*args)
    assert str(error.value).startswith(sentence)


def written(scripts: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {quote(value)}" for key, value in script_values(scripts))


def test_infotext_names_what_is_not_usual_and_reads_back_the_same() -> None:
    values = from_api(
        {**FACE, "ad_prompt": "a face, [SEP] another: one", "ad_use_steps": True, "ad_steps": 30, "ad_cfg_scale": 3},
        {**FACE, "ad_tab_enable": False},
        {"ad_model": "hand.onnx", "ad_mask_merge_invert": "Merge", "ad_controlnet_model": "Passthrough"},
    )
    line = written({TITLE: values})
    assert line.startswith(
        'ADetailer model: face_yolov8n.pt, ADetailer prompt: "a face, [SEP] another: one", ADetailer confidence: 0.3, '
        "ADetailer dilate erode: 4, ADetailer mask blur: 4, ADetailer denoising strength: 0.4, "
        "ADetailer inpaint only masked: True, ADetailer inpaint padding: 32, ADetailer use separate steps: True, "
        "ADetailer steps: 30, ADetailer model 2nd: hand.onnx, "
    )
    assert "ADetailer mask merge invert 2nd: Merge" in line and "CFG scale" not in line
    assert line.endswith("ADetailer version: 25.3.0")
    read = parse_infotext(f"a cat\nSteps: 20, {line}")
    notices: list[str] = []
    again = scripts_from_infotext({key: str(value) for key, value in read.items()}, notices)
    assert notices == [] and written(again) == line
    assert len(DetailArguments.of(again).tabs) == 2
    assert all(is_key_of_script(key) for key, _ in script_values(again))


def test_skipped_img2img_is_recorded() -> None:
    values = from_api(True, True, FACE)
    assert "ADetailer skip img2img: True" in written({TITLE: values})
    again = scripts_from_infotext({key: str(value) for key, value in script_values({TITLE: values})}, [])
    assert DetailArguments.of(again).skip_img2img


def test_old_infotext_is_read() -> None:
    old = {
        "ADetailer model": "face_yolov8n.pt",
        "ADetailer conf": "35",
        "ADetailer dilate/erode": "-4",
        "ADetailer inpaint full": "False",
        "ADetailer inpaint full padding": "16",
        "ADetailer version": "23.5.0",
    }
    notices: list[str] = []
    (tab,) = DetailArguments.of(scripts_from_infotext(old, notices)).tabs
    assert notices == []
    assert (tab.ad_confidence, tab.ad_dilate_erode, tab.ad_inpaint_only_masked) == (0.35, -4, False)
    assert tab.ad_inpaint_only_masked_padding == 16


def test_ordinals() -> None:
    assert [ordinal(number) for number in (0, 1, 2, 3, 10, 11, 12, 14)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "15th")
    ]


def request(*tabs: dict[str, Any], **fields: Any) -> GenerationRequest:
    scripts = fields.pop("scripts", {})
    values = {"prompt": "a cat", "negative_prompt": "dog", "scripts": {**scripts, TITLE: from_api(*tabs)}, **fields}
    return parse_request(values)


def test_each_part_of_a_prompt_is_a_pass_and_the_last_one_repeats() -> None:
    passes = detail_passes(
        request({**FACE, "ad_prompt": "[PROMPT], smiling [SEP] [SKIP] [SEP]", "ad_negative_prompt": "old [SEP] young"}),
        {},
    )
    assert [(one.fields.get("prompt"), one.fields.get("negative_prompt")) for one in passes] == [
        ("a cat, smiling", "old"),
        ("[SKIP]", "young"),
        (None, "young"),
    ]


def test_blank_prompts_are_the_pictures_own() -> None:
    (one,) = detail_passes(request({**FACE, "ad_prompt": "  "}), {})
    assert not {"prompt", "negative_prompt"} & set(one.fields)


def test_a_pass_is_an_inpainting_of_one_picture() -> None:
    (one,) = detail_passes(request(FACE, enable_hr=True, batch_size=4, n_iter=2, refiner_checkpoint="x"), {})
    wanted = {
        **{"mode": "img2img", "enable_hr": False, "refiner_checkpoint": "", "n_iter": 1, "batch_size": 1},
        **{"inpainting_fill": 1, "inpaint_full_res": True, "inpaint_full_res_padding": 32, "mask_blur_x": 4},
        **{"denoising_strength": 0.4, "resize_mode": 0, "inpainting_mask_invert": 0, "restore_faces": False},
    }
    assert {name: one.fields[name] for name in wanted} == wanted
    assert not {"steps", "cfg_scale", "sampler_name", "scheduler", "width"} & set(one.fields)
    assert one.overrides == {}


def test_what_is_switched_on_differs_from_the_job() -> None:
    own = {
        **{"ad_use_inpaint_width_height": True, "ad_inpaint_width": 300, "ad_inpaint_height": 68},
        **{"ad_use_steps": True, "ad_steps": 9, "ad_use_cfg_scale": True, "ad_cfg_scale": 4.5},
        **{"ad_use_sampler": True, "ad_sampler": "Euler a", "ad_use_checkpoint": True, "ad_checkpoint": "other"},
        **{"ad_use_vae": True, "ad_vae": "own.vae.pt", "ad_use_noise_multiplier": True, "ad_noise_multiplier": 1.1},
        **{"ad_use_clip_skip": True, "ad_clip_skip": 2, "ad_restore_face": True},
    }
    (one,) = detail_passes(request({**FACE, **own}), {})
    wanted = {"width": 304, "height": 64, "steps": 9, "cfg_scale": 4.5, "sampler_name": "Euler a"}
    assert {name: one.fields[name] for name in wanted} == wanted
    assert one.fields["restore_faces"] and "scheduler" not in one.fields
    assert one.overrides == {
        "sd_model_checkpoint": "other",
        "sd_vae": "own.vae.pt",
        "initial_noise_multiplier": 1.1,
        "CLIP_stop_at_last_layers": 2,
    }


def test_inside_work_the_scripts_that_settings_name_and_no_others() -> None:
    soft = {"Soft Inpainting": {"enabled": True}, "Loopback": {}, "Upscale": {"enabled": True}}
    (one,) = detail_passes(request(FACE, mode="img2img", mask="m", scripts=soft), {})
    assert set(one.fields["scripts"]) == {"Soft Inpainting"}


def test_more_tabs_than_the_setting_allows_and_unknown_samplers_are_refused() -> None:
    with pytest.raises(RequestError, match="there are 2 tabs; the setting ad_max_models allows 1"):
        detail_passes(request(FACE, FACE), {"ad_max_models": 1})
    with pytest.raises(RequestError, match="ADetailer: There is no sampler 'Eular'"):
        detail_passes(request({**FACE, "ad_use_sampler": True, "ad_sampler": "Eular"}), {})


def test_every_argument_has_a_typed_place() -> None:
    (tab,) = DetailArguments.of({TITLE: checked_arguments(DETAIL, {"ad_enable": True, "tabs": [FACE]})}).tabs
    assert {*tab.__slots__, "ad_tab_enable"} == {argument.name for argument in TAB}


def test_controlnet_works_inside_where_a_tab_names_a_model_or_passes_the_jobs_units_on() -> None:
    units = {"ControlNet": {"units": [{"enabled": True, "model": "pose", "image": "a"}]}}
    own = {"ad_controlnet_model": "tile", "ad_controlnet_module": "tile_resample", "ad_controlnet_weight": 0.7}
    tabs = ({**FACE}, {**FACE, **own}, {**FACE, "ad_controlnet_model": "Passthrough"})
    plain, named, passed = (one.fields["scripts"] for one in detail_passes(request(*tabs, scripts=units), {}))
    assert plain == {}
    (unit,) = named["ControlNet"]["units"]
    assert (unit["model"], unit["module"], unit["weight"], unit["image"]) == ("tile", "tile_resample", 0.7, "")
    assert [unit["model"] for unit in passed["ControlNet"]["units"]] == ["pose"]
