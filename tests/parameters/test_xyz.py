"""X/Y/Z plot: values in A1111's forms, axes in its order, and what stands in the legend."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import JsonValue

from modules.features.controlnet.declare import CONTROLNET
from modules.features.declaration import checked_arguments
from modules.features.detail.declare import DETAIL
from modules.features.table import find_script
from modules.features.xyz_plot.declare import XyzArguments
from modules.features.xyz_plot.plan import xyz_plot
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.xyz import (
    AXES,
    axes_of,
    axis_labels,
    changes,
    find_axis,
    grid_facts,
    joined_values,
    value_counts,
    with_fixed_seeds,
)
from modules.parameters.xyz.axes import check_search, is_possible, overrides, reordered
from modules.parameters.xyz.axis_values import numbers, split_values
from modules.settings import OPTIONS


def plot(**given: object) -> dict[str, JsonValue]:
    script = find_script("X/Y/Z plot")
    assert script is not None
    return checked_arguments(script, given)  # type: ignore[arg-type]  # values of any kind


def read(**given: object) -> XyzArguments:
    return XyzArguments.read(plot(**given))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1-5", [1, 2, 3, 4, 5]),
        ("1-5 (+2)", [1, 3, 5]),
        ("10-5 (-3)", [10, 7]),
        ("1-10 [5]", [1, 3, 5, 7, 10]),
        ("3, 1-2, -1", [3, 1, 2, -1]),
    ],
)
def test_whole_numbers(text: str, values: list[int]) -> None:
    assert numbers(split_values(text), "Steps", whole=True) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1-3 (+0.5)", [1, 1.5, 2, 2.5, 3]),
        ("0.0-1.0 [6]", [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("0-0.3 (+0.1)", [0, 0.1, 0.2, 0.3]),
        ("7.5", [7.5]),
    ],
)
def test_other_numbers(text: str, values: Any) -> None:
    assert numbers(split_values(text), "CFG Scale", whole=False) == pytest.approx(values)


@pytest.mark.parametrize("text", ["many", "1-5 (+0)", "1.5", "nan", "1-5 (+0.5)", "9" * 400])
def test_what_is_no_value_is_named_with_its_axis(text: str) -> None:
    with pytest.raises(RequestError, match="is no value for Steps"):
        numbers([text], "Steps", whole=True)


def test_endless_ranges_are_refused() -> None:
    for text in ("0-99999999", "1-2 [999999]"):
        with pytest.raises(RequestError, match="Steps has more than 5,000 values"):
            numbers([text], "Steps", whole=True)


def test_quotes_hold_commas_together() -> None:
    assert split_values('darkness,"light, green",heat') == ["darkness", "light, green", "heat"]
    assert split_values("a, b\nc,") == ["a", "b", "c"]


def test_tokens_change_places() -> None:
    assert reordered("a cat, a dog and a cow", ("dog", "cow", "cat")) == "a dog, a cow and a cat"


def test_axes_name_fields_and_settings_that_exist() -> None:
    for axis in AXES:
        assert axis.field is None or axis.field in GenerationRequest.model_fields
        assert set(axis.options) <= set(OPTIONS)
    assert sum(is_possible(axis) for axis in AXES) >= 30
    assert axis_labels("txt2img", possible=False)[:6] == [
        "Nothing",
        "Seed",
        "Var. seed",
        "Var. strength",
        "Steps",
        "Hires steps",
    ]
    assert "Hires steps" not in axis_labels("img2img")
    assert find_axis("cfg scale", "img2img").label == "CFG Scale"
    merging = find_axis("Token merging ratio", "img2img"), find_axis("Token merging ratio high-res", "txt2img")
    assert [overrides(axis, 0.3) for axis in merging] == [{"token_merging_ratio": 0.3}, {"token_merging_ratio_hr": 0.3}]


@pytest.mark.parametrize(
    ("label", "value", "name", "becomes"),
    [
        ("Enabled", "no", "enabled", False),
        ("Model", "edges [0123abcd]", "model", "edges [0123abcd]"),
        ("Weight", 0.5, "weight", 0.5),
        ("Guidance Start", 0.2, "guidance_start", 0.2),
        ("Guidance End", 0.8, "guidance_end", 0.8),
        ("Control Mode", "2", "control_mode", "ControlNet is more important"),
        ("Control Mode", "my prompt is more important", "control_mode", "My prompt is more important"),
        ("Resize Mode", "Outer Fit (Shrink to Fit)", "resize_mode", "Resize and Fill"),
        ("Preprocessor", "canny", "module", "canny"),
        ("Pre Resolution", 640, "processor_res", 640),
        ("Pre Threshold A", 30.0, "threshold_a", 30),
        ("Pre Threshold B", 60.0, "threshold_b", 60),
    ],
)
def test_axes_of_controlnet_change_the_first_unit(label: str, value: object, name: str, becomes: object) -> None:
    units: Any = [{"enabled": True, "weight": 1.5, "module": "none"}, {"enabled": True, "module": "mlsd"}]
    before: Any = {"ControlNet": checked_arguments(CONTROLNET, {"units": units}), "Other": {"a": 1}}
    axis = find_axis(f"[controlnet] {label}", "img2img")
    scripts = changes(axis, value, [value], {"scripts": before})["scripts"]
    first, second = scripts["ControlNet"]["units"]
    old, other = before["ControlNet"]["units"]
    assert first == {**old, name: becomes} and first != old
    assert (second, scripts["Other"]) == (other, {"a": 1})


@pytest.mark.parametrize(
    ("label", "value", "becomes"),
    [
        ("ADetailer model 1st", "hand.onnx", {"ad_model": "hand.onnx"}),
        ("ADetailer prompt 1st", "eyes", {"ad_prompt": "eyes"}),
        ("Mask erosion / dilation 1st", 12, {"ad_dilate_erode": 12}),
        ("CFG scale 1st", 5.0, {"ad_cfg_scale": 5, "ad_use_cfg_scale": True}),
        ("Inpaint only masked 1st", "False", {"ad_inpaint_only_masked": False}),
        ("noise multiplier 1st", 1.1, {"ad_noise_multiplier": 1.1, "ad_use_noise_multiplier": True}),
    ],
)
def test_axes_of_the_detail_pass_change_its_first_tab(label: str, value: object, becomes: dict[str, Any]) -> None:
    tabs: Any = [{"ad_model": "face.onnx"}, {"ad_model": "hand.onnx"}]
    before: Any = {"ADetailer": checked_arguments(DETAIL, {"ad_enable": True, "tabs": tabs})}
    axis = find_axis(f"[ADetailer] {label}", "txt2img")
    found = changes(axis, value, [value], {"scripts": before})["scripts"]["ADetailer"]
    first, second = found["tabs"]
    assert first == {**before["ADetailer"]["tabs"][0], **becomes} and found["ad_enable"]
    assert second == before["ADetailer"]["tabs"][1]
    alone = changes(axis, value, [value], {"scripts": {}})["scripts"]["ADetailer"]
    assert len(alone["tabs"]) == 1 and not alone["ad_enable"]
    with pytest.raises(RequestError, match=r"^X/Y/Z plot: ADetailer"):
        changes(find_axis("[ADetailer] CFG scale 1st", "txt2img"), 7000.0, [7000.0], {"scripts": {}})


@pytest.mark.parametrize(
    ("label", "prompt", "found"),
    [
        ("[ADetailer] Prompt S/R (AD 1st)", "blue eyes", ("green eyes, [PROMPT]", "no green", "blue sky")),
        ("[ADetailer] Prompt S/R (AD 1st and main prompt)", "", ("", "no green", "green sky")),
    ],
)
def test_prompts_of_the_detail_pass_are_searched(label: str, prompt: str, found: tuple[str, ...]) -> None:
    tab: Any = {"ad_model": "face.onnx", "ad_prompt": prompt and f"{prompt}, [PROMPT]", "ad_negative_prompt": "no blue"}
    scripts: Any = {"ADetailer": checked_arguments(DETAIL, {"ad_enable": True, "tabs": [tab, tab]})}
    fields: dict[str, Any] = {"prompt": "blue sky", "negative_prompt": "", "scripts": scripts}
    changed = fields | changes(find_axis(label, "txt2img"), "green", ["blue", "green"], fields)
    first, second = changed["scripts"]["ADetailer"]["tabs"]
    assert (first["ad_prompt"], first["ad_negative_prompt"], changed["prompt"]) == found
    assert second == scripts["ADetailer"]["tabs"][1]
    request = GenerationRequest(prompt="blue sky", scripts=scripts)
    check_search(find_axis(label, "txt2img"), "blue", request)
    with pytest.raises(RequestError, match=r"did not find red in .*ADetailer's first tab"):
        check_search(find_axis(label, "txt2img"), "red", request)


def test_axes_of_controlnet_add_up_and_say_what_is_no_value() -> None:
    request = GenerationRequest(
        mode="txt2img",
        prompt="a",
        scripts={
            "X/Y/Z plot": plot(
                x_type="[ControlNet] Weight",
                x_values="0.5, 1",
                y_type="[ControlNet] Guidance End",
                y_values="0.25, 0.75",
            )
        },
    )
    units = [picture.fields["scripts"]["ControlNet"]["units"][0] for picture in xyz_plot(request)]
    assert [(one["weight"], one["guidance_end"]) for one in units] == [(0.5, 0.25), (1, 0.25), (0.5, 0.75), (1, 0.75)]
    axis = find_axis("[ControlNet] Weight", "txt2img")
    with pytest.raises(RequestError, match=r"^X/Y/Z plot: ControlNet: Control Weight is 7"):
        changes(axis, 7.0, [7.0], {"scripts": {}})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"x_type": "Speed", "x_values": "1"}, "there is no axis 'Speed' on the txt2img tab"),
        ({"x_type": "Face restore", "x_values": "1"}, "Face restore is not possible here"),
        ({"x_type": "Steps"}, "X values are empty"),
        ({"x_type": "Sampler", "x_values": "Eulre"}, "Eulre"),
        ({"x_type": "Size", "x_values": "512"}, "the size '512' is not of the form 512x768"),
        ({"x_type": "Prompt order", "x_values": "a,b,c,d,e,f,g,h"}, "Prompt order takes at most 7 values, not 8"),
    ],
)
def test_what_cannot_be_is_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        axes_of(read(**given), "txt2img")


def test_random_seeds_on_an_axis_are_drawn_once_and_recorded() -> None:
    given = plot(x_type="Seed", x_values="-1, 5", y_type="CFG Scale", y_values="1-2")
    fixed = with_fixed_seeds(given, "txt2img", random.Random(1))
    x, y, z = axes_of(XyzArguments.read(fixed), "txt2img")
    assert x.values[0] >= 0 and x.values[1] == 5
    assert x.words == [f"Seed: {seed}" for seed in x.values]
    assert (y.words, z.words) == (["CFG Scale: 1.0", "CFG Scale: 2.0"], [""])
    seeds = ", ".join(map(str, x.values))
    assert dict(grid_facts(XyzArguments.read(fixed), [x, y, z], whole=True)) == {
        **{"Script": "X/Y/Z plot", "X Type": "Seed", "X Values": seeds, "Fixed X Values": seeds},
        **{"Y Type": "CFG Scale", "Y Values": "1-2"},
    }
    unfixed = with_fixed_seeds({**given, "no_fixed_seeds": True}, "txt2img", random.Random(1))
    assert unfixed["x_values"] == "-1, 5"


def test_chosen_values_count_unless_texts_are_used() -> None:
    given = {"x_type": "Sampler", "x_values": "Heun", "x_values_dropdown": ["Euler", "k_euler_a"]}
    assert axes_of(read(**given), "txt2img")[0].words == ["Euler", "Euler a"]
    assert axes_of(read(**given, csv_mode=True), "txt2img")[0].words == ["Heun"]


def test_a_list_counts_where_the_axis_has_one_and_nothing_is_typed_instead() -> None:
    chosen = {"x_values": "Heun", "x_values_dropdown": ["Euler", "DDIM"]}
    assert axes_of(read(x_type="Sampler", **chosen), "txt2img")[0].values == ["Euler", "DDIM"]
    assert axes_of(read(x_type="Sampler", csv_mode=True, **chosen), "txt2img")[0].values == ["Heun"]
    # What an axis before it had chosen says nothing about an axis that is typed.
    steps = read(x_type="Steps", x_values="5, 6", x_values_dropdown=["Euler"])
    assert axes_of(steps, "txt2img")[0].values == [5, 6]


def test_a_grid_names_what_was_chosen_from_a_list_as_it_would_be_typed() -> None:
    names = ["a, b.safetensors", 'say "so"', "plain"]
    arguments = read(x_type="Checkpoint name", x_values_dropdown=names)
    text = dict(grid_facts(arguments, axes_of(arguments, "txt2img"), whole=True))["X Values"]
    assert text == '"a, b.safetensors", "say ""so""", plain' == joined_values(names)
    assert split_values(text) == names


def test_the_pictures_of_a_plot_are_counted_before_it_starts() -> None:
    axes = read(x_type="Steps", x_values="1-5", y_type="Sampler", y_values_dropdown=["Euler", "DDIM"], z_type="Seed")
    assert value_counts(axes, "txt2img") == [5, 2]
    with pytest.raises(RequestError, match="no value for Steps"):
        value_counts(read(x_type="Steps", x_values="many"), "txt2img")
