"""Infotext as A1111 v1.10.1 writes it: keys, order, quoting and omissions."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from modules.parameters import GenerationRequest, ResolvedRequest, resolve, write_infotext
from modules.parameters.infotext_values import Pair, pairs, quote
from modules.parameters.infotext_versions import parse_version
from modules.version import INFOTEXT_VERSION

SD15 = {"Model hash": "6ce0161689", "Model": "v1-5-pruned-emaonly", "Version": "v1.10.1"}


def job(options: dict[str, Any] | None = None, **fields: Any) -> ResolvedRequest:
    return resolve(GenerationRequest(**({"seed": 1} | fields)), options=options or {}, rng=random.Random(0))


def last_line(resolved: ResolvedRequest, facts: Mapping[str, object] | None = None, index: int = 0) -> str:
    return write_infotext(resolved, index, facts or {}).split("\n")[-1]


def test_plain_sd1() -> None:
    resolved = job(
        prompt="a lighthouse on a cliff, (storm:1.2), oil painting",
        negative_prompt="blurry, lowres",
        sampler_name="Euler a",
        seed=1234567890,
    )
    assert write_infotext(resolved, 0, SD15) == (
        "a lighthouse on a cliff, (storm:1.2), oil painting\n"
        "Negative prompt: blurry, lowres\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 1234567890, Size: 512x512, "
        "Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Version: v1.10.1"
    )


def test_hires_lora_and_clip_skip() -> None:
    resolved = job(
        {"CLIP_stop_at_last_layers": 2},
        prompt="1girl, <lora:inkStyle:0.8>, garden",
        negative_prompt="EasyNegative",
        steps=28,
        cfg_scale=6.5,
        seed=42,
        height=768,
        enable_hr=True,
        denoising_strength=0.45,
        hr_scale=1.5,
        hr_second_pass_steps=12,
        hr_upscaler="R-ESRGAN 4x+",
    )
    facts = {
        "Model hash": "a1b2c3d4e5",
        "Model": "animeMix_v3",
        "VAE hash": "63aeecb90f",
        "VAE": "vae-ft-mse-840000-ema-pruned.safetensors",
        "Lora hashes": "inkStyle: 0f1e2d3c4b5a",
        "TI hashes": "EasyNegative: c74b4e810b03",
        "Version": "v1.10.1",
    }
    assert write_infotext(resolved, 0, facts) == (
        "1girl, <lora:inkStyle:0.8>, garden\n"
        "Negative prompt: EasyNegative\n"
        "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, Size: 512x768, "
        "Model hash: a1b2c3d4e5, Model: animeMix_v3, VAE hash: 63aeecb90f, "
        "VAE: vae-ft-mse-840000-ema-pruned.safetensors, Denoising strength: 0.45, Clip skip: 2, Hires upscale: 1.5, "
        'Hires steps: 12, Hires upscaler: R-ESRGAN 4x+, Lora hashes: "inkStyle: 0f1e2d3c4b5a", '
        'TI hashes: "EasyNegative: c74b4e810b03", Version: v1.10.1'
    )


def test_inpainting_only_masked() -> None:
    resolved = job(
        mode="img2img",
        prompt="red door",
        steps=30,
        sampler_name="DPM++ SDE",
        seed=99,
        width=768,
        height=768,
        denoising_strength=0.75,
        mask="mask",
        mask_blur_x=8,
        mask_blur_y=8,
        inpaint_full_res=True,
        inpaint_full_res_padding=48,
        inpainting_fill=0,
    )
    facts = {"Model hash": "1122334455", "Model": "inpaintModel", "Conditional mask weight": 1.0, "Version": "v1.9.4"}
    assert write_infotext(resolved, 0, facts) == (
        "red door\n"
        "Steps: 30, Sampler: DPM++ SDE, Schedule type: Karras, CFG scale: 7, Seed: 99, Size: 768x768, "
        "Model hash: 1122334455, Model: inpaintModel, Denoising strength: 0.75, Conditional mask weight: 1.0, "
        "Mask blur: 8, Inpaint area: Only masked, Masked area padding: 48, Masked content: fill, Version: v1.9.4"
    )


def test_variation_and_noise_source() -> None:
    resolved = job(
        {"randn_source": "CPU", "s_min_uncond": 2.5},
        prompt="city [day:night:0.5]",
        negative_prompt="fog",
        steps=25,
        sampler_name="DPM++ 2M SDE",
        cfg_scale=5,
        seed=10,
        width=1024,
        height=1024,
        subseed=55,
        subseed_strength=0.15,
        seed_resize_from_w=832,
        seed_resize_from_h=1216,
    )
    facts = {"Model hash": "31e35c80fc", "Model": "sd_xl_base_1.0", "Version": "v1.10.1"}
    assert last_line(resolved, facts) == (
        "Steps: 25, Sampler: DPM++ 2M SDE, Schedule type: Exponential, CFG scale: 5, Seed: 10, Size: 1024x1024, "
        "Model hash: 31e35c80fc, Model: sd_xl_base_1.0, Variation seed: 55, Variation seed strength: 0.15, "
        "Seed resize from: 832x1216, RNG: CPU, NGMS: 2.5, Version: v1.10.1"
    )


def test_each_image_has_its_own_seeds() -> None:
    resolved = job(n_iter=2, batch_size=2, seed=5, subseed=7)
    assert ["Seed: 8" in last_line(resolved, index=index) for index in range(4)] == [False, False, False, True]
    varied = job(n_iter=2, seed=5, subseed=7, subseed_strength=0.5)
    assert "Seed: 5, " in last_line(varied, index=1) and "Variation seed: 8, " in last_line(varied, index=1)


def test_the_version_is_ours_unless_facts_say_another() -> None:
    assert last_line(job()).endswith(f", Version: {INFOTEXT_VERSION}")
    assert last_line(job(), {"Version": "v1.9.4"}).endswith(", Version: v1.9.4")
    # Whoever reads it takes it for A1111 v1.10.1, which is how our pictures are made.
    assert parse_version(INFOTEXT_VERSION) == ((1, 10, 1), 1)


def test_an_empty_prompt_leaves_only_the_line() -> None:
    assert write_infotext(job(), 0, {}).startswith("Steps: 20, ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "a"),
        ("a,b", '"a,b"'),
        ("a:b", '"a:b"'),
        ("a\nb", '"a\\nb"'),
        ('a "q"', 'a "q"'),
        ('a, "q"', '"a, \\"q\\""'),
        (7, "7"),
        (True, "True"),
        ("ä, 猫", '"ä, 猫"'),
        # A1111 writes these raw and then reads something else; see `quote`.
        ('"q"', '"\\"q\\""'),
        (" a", '" a"'),
        ("{1}", '"{1}"'),
    ],
)
def test_quoting(value: str | int | bool, shown: str) -> None:
    assert quote(value) == shown
    assert list(pairs(f"Key: {shown}, Next: 1")) == [Pair("Key", str(value), shown[0] == '"'), Pair("Next", "1")]


def test_a_value_equal_to_its_key_and_values_that_are_none() -> None:
    line = last_line(job(), {"Soft inpainting enabled": "Soft inpainting enabled", "VAE": None, "Model": None})
    assert "Soft inpainting enabled" in line and "Soft inpainting enabled:" not in line
    assert "VAE" not in line and "Model" not in line


def test_facts_win_keep_their_place_and_extras_keep_their_order() -> None:
    line = last_line(job(), {"Zeta": 1, "Schedule type": "Uniform", "Alpha": 2, "User": "me", "Version": "v1"})
    assert "Sampler: DPM++ 2M, Schedule type: Uniform, CFG scale" in line
    assert line.endswith("Zeta: 1, Alpha: 2, Version: v1")


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("add_model_name_to_info", "Model:"),
        ("add_model_hash_to_info", "Model hash:"),
        ("add_vae_name_to_info", "VAE:"),
        ("add_vae_hash_to_info", "VAE hash:"),
        ("add_version_to_infotext", "Version:"),
        ("lora_add_hashes_to_infotext", "Lora hashes:"),
        ("textual_inversion_add_hashes_to_infotext", "TI hashes:"),
    ],
)
def test_options_that_keep_facts_out(option: str, key: str) -> None:
    facts = {"VAE": "v", "VAE hash": "w", "Lora hashes": "a: b", "TI hashes": "c: d", **SD15}
    assert key in last_line(job(), facts)
    assert key not in last_line(job({option: False}), facts)


def test_the_user_only_where_the_option_says_so() -> None:
    assert "User" not in last_line(job(), {"User": "me"})
    assert last_line(job({"add_user_name_to_info": True}), {"User": "me", **SD15}).endswith(
        "Version: v1.10.1, User: me"
    )


@pytest.mark.parametrize(
    ("options", "fields", "shown"),
    [
        ({"eta_noise_seed_delta": 31337}, {"sampler_name": "Euler a"}, "ENSD: 31337"),
        ({"eta_noise_seed_delta": 31337}, {"sampler_name": "Euler"}, None),
        ({"eta_noise_seed_delta": 31337, "eta_ancestral": 0.0}, {"sampler_name": "Euler a"}, "Eta: 0"),
        ({"eta_noise_seed_delta": 31337}, {"sampler_name": "DDIM"}, None),
        ({"eta_ddim": 0.5}, {"sampler_name": "DDIM"}, "Eta DDIM: 0.5"),
        ({"eta_ddim": 0.5}, {"sampler_name": "Euler a"}, None),
        ({"eta_ancestral": 0.67}, {"sampler_name": "DPM2 a"}, "Eta: 0.67"),
        ({"s_churn": 2.0}, {"sampler_name": "Heun"}, "Sigma churn: 2"),
        ({"s_churn": 2.0}, {"sampler_name": "DPM++ 2M"}, None),
        ({"rho": 3.0}, {"scheduler": "Karras"}, "Schedule rho: 3"),
        ({"rho": 3.0}, {"scheduler": "Uniform"}, None),
        ({"rho": 3.0}, {"sampler_name": "DDIM", "scheduler": "Karras"}, None),
        ({"sigma_min": 0.1}, {"sampler_name": "Euler"}, None),
        ({"sigma_min": 0.1}, {}, "Schedule min sigma: 0.1"),
        ({"s_churn": 2.0}, {"enable_hr": True, "hr_sampler_name": "Heun"}, "Sigma churn: 2"),
        ({"sgm_noise_multiplier": True}, {"mode": "img2img"}, None),
        ({"sgm_noise_multiplier": True}, {"sampler_name": "DDIM"}, None),
        ({"sd_vae_encode_method": "TAESD"}, {"enable_hr": True}, None),
        ({"sd_vae_encode_method": "TAESD"}, {"enable_hr": True, "hr_upscaler": "None"}, "VAE Encoder: TAESD"),
        ({"beta_dist_alpha": 0.5}, {"scheduler": "Beta"}, "Beta schedule alpha: 0.5"),
        ({"beta_dist_alpha": 0.5}, {}, None),
        ({"always_discard_next_to_last_sigma": True}, {}, "Discard penultimate sigma: True"),
        ({"always_discard_next_to_last_sigma": True}, {"sampler_name": "DPM2"}, None),
        ({"uni_pc_order": 2}, {"sampler_name": "UniPC"}, "UniPC order: 2"),
        ({"uni_pc_order": 2}, {}, None),
        ({"emphasis": "No norm"}, {"prompt": "a (cat)"}, "Emphasis: No norm"),
        ({"emphasis": "No norm"}, {"prompt": "a \\(cat\\)"}, "Emphasis: No norm"),
        ({"emphasis": "No norm"}, {"prompt": "a cat"}, None),
        ({"beta_dist_alpha": 0.5}, {"prompt": "a cat"}, None),
        ({"s_min_uncond_all": True}, {}, None),
        ({"initial_noise_multiplier": 0.9}, {"mode": "img2img"}, "Noise multiplier: 0.9"),
        ({"initial_noise_multiplier": 0.9}, {}, None),
        ({"tiling": True}, {}, "Tiling: True"),
        ({"tiling": True}, {"tiling": False}, None),
        ({"token_merging_ratio": 0.5}, {}, "Token merging ratio: 0.5"),
        ({"token_merging_ratio": 0.5}, {"mode": "img2img"}, "Token merging ratio: 0.5"),
        ({"token_merging_ratio_img2img": 0.4}, {"mode": "img2img"}, "Token merging ratio: 0.4"),
        ({"token_merging_ratio_img2img": 0.4}, {}, None),
        ({"token_merging_ratio_hr": 0.4}, {"enable_hr": True}, "Token merging ratio hr: 0.4"),
        ({"token_merging_ratio_hr": 0.4}, {}, None),
        ({"sgm_noise_multiplier": True}, {}, "SGM noise multiplier: True"),
        ({"use_old_scheduling": True}, {}, "Old prompt editing timelines: True"),
        ({"sd_vae": "x.pt", "sd_model_checkpoint": "y"}, {}, None),
    ],
)
def test_options_are_recorded_where_they_had_an_effect(
    options: dict[str, Any], fields: dict[str, Any], shown: str | None
) -> None:
    line, plain = last_line(job(options, **fields)), last_line(job(**fields))
    assert (set(line.split(", ")) - set(plain.split(", "))) == ({shown} if shown else set())


def test_a_hires_pass_merges_as_the_first_one_unless_its_option_differs() -> None:
    both = last_line(job({"token_merging_ratio": 0.5}, enable_hr=True))
    assert ", Token merging ratio: 0.5, Token merging ratio hr: 0.5, " in both
    own = last_line(job({"token_merging_ratio": 0.5, "token_merging_ratio_img2img": 0.2}, mode="img2img"))
    assert "Token merging ratio: 0.2, " in own


def test_a_request_that_tiles_needs_no_option() -> None:
    assert "Tiling: True" in last_line(job(tiling=True))


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"hr_resize_x": 1024}, "Hires resize: 1024x0, Hires upscaler: Latent"),
        ({"hr_prompt": "b: c"}, 'Hires prompt: "b: c", Hires upscale: 2'),
        ({"hr_prompt": "512x512"}, 'Hires prompt: "512x512", Hires upscale: 2'),
        ({"hr_prompt": "a", "prompt": "a"}, "Denoising strength: 0.7, Hires upscale: 2"),
        ({"hr_sampler_name": "Euler a"}, "Hires sampler: Euler a, Hires upscale: 2"),
        ({"hr_sampler_name": "DPM++ 2M"}, "Denoising strength: 0.7, Hires upscale: 2"),
        ({"hr_scheduler": "Exponential"}, "Hires schedule type: Exponential, Hires upscale: 2"),
        # The schedule of the first pass need not be written again, nor that its word means none for another sampler.
        ({"hr_scheduler": "Karras"}, "Denoising strength: 0.7, Hires upscale: 2"),
        ({"hr_sampler_name": "Euler"}, "Hires sampler: Euler, Hires upscale: 2"),
        ({"hr_sampler_name": "DPM++ SDE"}, "Hires sampler: DPM++ SDE, Hires upscale: 2"),
        ({"hr_sampler_name": "DPM++ 2M SDE"}, "Hires sampler: DPM++ 2M SDE, Hires schedule type: Exponential, "),
        ({"sampler_name": "Euler", "hr_sampler_name": "DPM2"}, "DPM2, Hires schedule type: Karras, Hires upscale"),
        ({"sampler_name": "DDIM", "scheduler": "Beta", "hr_sampler_name": "Euler"}, "Hires schedule type: Beta, "),
        ({"hr_scheduler": "Karras", "hr_sampler_name": "DDIM"}, "Hires sampler: DDIM, Hires upscale"),
        # A1111 is silent here too, and then reads Uniform.
        ({"hr_scheduler": "Karras", "hr_sampler_name": "Euler"}, "Euler, Hires schedule type: Karras, Hires upscale"),
        ({"from_program": True}, "CFG scale: 7.0, "),
        ({"from_program": True}, "Hires upscale: 2.0, "),
        ({"hr_cfg": 1.0}, "Hires CFG Scale: 1, Hires upscale: 2"),
    ],
)
def test_hires_keys(fields: dict[str, Any], shown: str) -> None:
    assert shown in last_line(job(enable_hr=True, **fields))
    assert "Hires" not in last_line(job(enable_hr=False, **fields))


def test_old_sampler_names_are_written_as_what_applies() -> None:
    assert "Sampler: DPM++ 2M, Schedule type: Karras, " in last_line(job(sampler_name="DPM++ 2M Karras"))
    assert "Sampler: Euler a, Schedule type: Automatic, " in last_line(job(sampler_name="k_euler_a"))


def test_the_shape_of_the_beta_schedule_is_always_recorded() -> None:
    assert "Beta schedule alpha: 0.6, Beta schedule beta: 0.6" in last_line(job({}, scheduler="Beta"))


def test_extras_stand_in_the_order_in_which_a1111_comes_to_know_them() -> None:
    options = {
        "s_min_uncond": 2.5,
        "s_noise": 1.05,
        "eta_ancestral": 0.5,
        "sigma_max": 10.0,
        "always_discard_next_to_last_sigma": True,
        "sd_noise_schedule": "Zero Terminal SNR",
        "use_downcasted_alpha_bar": True,
        "emphasis": "No norm",
        "use_old_scheduling": True,
        "pad_cond_uncond": True,
    }
    resolved = job(options, prompt="(a) [b:c:5]", enable_hr=True, hr_prompt="d", sampler_name="DPM++ 2S a")
    line = last_line(resolved, {"Lora hashes": "a: b", "TI hashes": "c: d"})
    assert [pair.key for pair in pairs(line)][7:-1] == [
        *("Hires prompt", "Hires upscale", "Hires upscaler", "Lora hashes", "Old prompt editing timelines"),
        *("TI hashes", "Emphasis", "Downcast alphas_cumprod", "Noise Schedule", "Discard penultimate sigma"),
        *("Schedule max sigma", "Eta", "Sigma noise", "NGMS", "Pad conds"),
    ]


def test_a_refiner_is_named_with_what_its_switch_goes_by() -> None:
    options = {"refiner_switch_by_sample_steps": True, "hires_fix_refiner_pass": "both passes"}
    fields: dict[str, Any] = {"refiner_checkpoint": "sdxl/refiner.safetensors [7440042bbd]", "refiner_switch_at": 0.6}
    said = "Refiner: refiner [7440042bbd], Refiner switch at: 0.6"
    assert said in last_line(job(**fields))
    assert f"Refiner switch by sampling steps: True, {said}" in last_line(job(options, **fields))
    hires = last_line(job(options, enable_hr=True, **fields))
    assert f"Refiner switch by sampling steps: True, Hires refiner: both passes, {said}" in hires
    nothing: dict[str, Any] = {}
    for without in (nothing, fields | {"refiner_switch_at": 1.0}, fields | {"refiner_checkpoint": "None"}):
        assert "efiner" not in last_line(job(options, enable_hr=True, **without))
