"""Sampler options are read by A1111's keys and checked where they enter."""

from __future__ import annotations

import pytest

from modules.parameters.sampler_options import SamplerOptions
from modules.settings import OptionError
from modules.settings.groups import read_options


def test_defaults_are_a1111s() -> None:
    options = read_options(SamplerOptions, {})
    assert options == SamplerOptions()
    assert (options.eta_ancestral, options.eta_ddim, options.s_noise) == (1.0, 0.0, 1.0)
    assert (options.uni_pc_variant, options.uni_pc_order, options.randn_source) == ("bh1", 3, "GPU")


def test_known_keys_are_taken_and_others_ignored() -> None:
    options = read_options(SamplerOptions, {"rho": 5, "randn_source": "NV", "font": "x", "s_churn": None})
    assert options == SamplerOptions(rho=5.0, randn_source="NV")


def test_text_becomes_numbers_and_flags() -> None:
    options = read_options(
        SamplerOptions,
        {"eta_noise_seed_delta": "31337", "sigma_max": "12.5", "sgm_noise_multiplier": "True", "uni_pc_order": 2.0},
    )
    assert options.eta_noise_seed_delta == 31337 and isinstance(options.eta_noise_seed_delta, int)
    assert options.sigma_max == 12.5 and options.sgm_noise_multiplier is True
    assert options.uni_pc_order == 2 and isinstance(options.uni_pc_order, int)
    assert read_options(SamplerOptions, {"s_min_uncond_all": "false"}).s_min_uncond_all is False


def test_a_wrong_kind_is_named() -> None:
    with pytest.raises(OptionError, match="The option rho must be a number, not 'much'"):
        read_options(SamplerOptions, {"rho": "much"})


def test_zero_terminal_snr_is_a_noise_schedule() -> None:
    assert SamplerOptions(sd_noise_schedule="Zero Terminal SNR").zero_terminal_snr
    assert not SamplerOptions().zero_terminal_snr
