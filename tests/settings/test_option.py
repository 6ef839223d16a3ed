"""The declared settings: A1111's keys and defaults, and values that are taken or refused."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.settings import OPTIONS, SECTIONS, Option, OptionError
from modules.settings.option import OptionKind
from modules.settings.options import as_json

# What issue "The same picture" lists: each exists under its key and changes a picture.
PICTURE_KEYS = """
emphasis use_old_emphasis_implementation CLIP_stop_at_last_layers comma_padding_backtrack randn_source
eta_noise_seed_delta eta_ancestral eta_ddim s_churn s_tmin s_tmax s_noise sigma_min sigma_max rho
beta_dist_alpha beta_dist_beta always_discard_next_to_last_sigma use_old_karras_scheduler_sigmas
sgm_noise_multiplier enable_quantization uni_pc_variant uni_pc_skip_type uni_pc_order uni_pc_lower_order_final
sd_noise_schedule skip_early_cond s_min_uncond s_min_uncond_all pad_cond_uncond no_dpmpp_sde_batch_determinism
use_old_scheduling use_downcasted_alpha_bar tiling img2img_fix_steps img2img_extra_noise
initial_noise_multiplier img2img_color_correction img2img_background_color inpainting_mask_weight
overlay_inpaint upscaler_for_img2img
"""

DEFAULTS = {
    "samples_format": "png",
    "grid_only_if_multiple": True,
    "n_rows": -1,
    "jpeg_quality": 80,
    "directories_filename_pattern": "[date]",
    "CLIP_stop_at_last_layers": 1,
    "comma_padding_backtrack": 20,
    "randn_source": "GPU",
    "emphasis": "Original",
    "eta_ancestral": 1.0,
    "eta_ddim": 0.0,
    "s_noise": 1.0,
    "uni_pc_order": 3,
    "beta_dist_alpha": 0.6,
    "sd_vae": "Automatic",
    "sd_model_checkpoint": None,
    "initial_noise_multiplier": 1.0,
    "quicksettings_list": ("sd_model_checkpoint",),
    "keyedit_delimiters": ".,\\/!?%^*;:{}=`~() ",
    "live_preview_refresh_period": 1000,
    "show_progress_every_n_steps": 10,
    "outdir_txt2img_samples": "outputs/txt2img-images",
    "interrupt_after_current": True,
}


def test_keys_are_declared_once_in_known_sections() -> None:
    from modules.settings.tables import TABLES

    assert len(OPTIONS) == sum(len(table) for table in TABLES) > 200
    assert {option.section for option in OPTIONS.values()} == set(SECTIONS)
    assert all(key == option.key for key, option in OPTIONS.items())


def test_every_default_is_a_value_of_its_option() -> None:
    for option in OPTIONS.values():
        assert option.checked(as_json(option.default)) == option.default, option.key
        assert option.label and option.kind in get_args(OptionKind)


def test_infotext_keys_name_one_option_each() -> None:
    keys = [option.infotext for option in OPTIONS.values() if option.infotext]
    assert len(keys) == len(set(keys)) > 35
    assert OPTIONS["eta_noise_seed_delta"].infotext == "ENSD"
    assert OPTIONS["CLIP_stop_at_last_layers"].infotext == "Clip skip"


@pytest.mark.parametrize("key", PICTURE_KEYS.split())
def test_options_that_change_a_picture_say_so(key: str) -> None:
    assert OPTIONS[key].changes_picture


@pytest.mark.parametrize(("key", "default"), DEFAULTS.items())
def test_defaults_are_a1111s(key: str, default: object) -> None:
    assert OPTIONS[key].default == default


@pytest.mark.parametrize("key", ["api_enable_requests", "api_forbid_local_requests", "api_useragent", "outdir_samples"])
def test_what_the_api_must_not_change(key: str) -> None:
    assert OPTIONS[key].restrict_api


@pytest.mark.parametrize(
    ("key", "given_value", "expected"),
    [
        ("CLIP_stop_at_last_layers", 2.0, 2),
        ("eta_ancestral", 1, 1.0),
        ("randn_source", "NV", "NV"),
        ("ui_tab_order", ["img2img", "txt2img"], ("img2img", "txt2img")),
        ("sd_model_checkpoint", None, None),
        ("sd_model_checkpoint", "any name.safetensors", "any name.safetensors"),
        ("tiling", True, True),
        ("eta_noise_seed_delta", 31337, 31337),
        ("img2img_background_color", "#00FF7f", "#00FF7f"),
        ("img2img_background_color", "rgba(255, 127.6, 0.2, 1)", "#ff8000"),
    ],
)
def test_taken(key: str, given_value: object, expected: object) -> None:
    checked = OPTIONS[key].checked(given_value)
    assert checked == expected and type(checked) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("CLIP_stop_at_last_layers", 0, "from 1 to 12"),
        ("CLIP_stop_at_last_layers", 1.5, "a whole number"),
        ("CLIP_stop_at_last_layers", True, "a number"),
        ("CLIP_stop_at_last_layers", "2", "a number"),
        ("eta_ancestral", math.nan, "a number"),
        ("eta_ancestral", math.inf, "a number"),
        ("randn_source", "TPU", 'one of "GPU", "CPU", "NV"'),
        ("tiling", 1, "true or false"),
        ("ui_tab_order", "img2img", "a list of texts"),
        ("ui_tab_order", [1], "a list of texts"),
        ("sd_vae", None, "a text"),
        ("img2img_background_color", "blah", "a colour as #rrggbb"),
        ("img2img_background_color", None, "a colour as #rrggbb"),
        ("samples_filename_pattern", "x" * 0 or 5, "a text"),
    ],
)
def test_refused_in_one_sentence(key: str, value: object, wanted: str) -> None:
    with pytest.raises(OptionError) as refusal:
        OPTIONS[key].checked(value)
    assert str(refusal.value).startswith(f"The setting {key} takes {wanted}, not ")


def test_a_huge_value_is_not_repeated_whole() -> None:
    with pytest.raises(OptionError) as refusal:
        OPTIONS["tiling"].checked("x" * 1_000_000)
    assert len(str(refusal.value)) < 200


@given(
    st.sampled_from(sorted(OPTIONS)),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
)
def test_any_json_is_taken_or_refused_and_checking_twice_changes_nothing(key: str, value: object) -> None:
    option: Option = OPTIONS[key]
    try:
        once = option.checked(value)
    except OptionError:
        return
    assert option.checked(as_json(once)) == once
