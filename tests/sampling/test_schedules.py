"""Noise schedules give the levels recorded from A1111, at every step count and under every setting."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.schedules import SCHEDULES, UnknownScheduleError, resolve_schedule, schedule_labels
from modules.sampling import build_sigmas, sd1_sigmas, sigma_schedule
from modules.sampling.beta_distribution import beta_cdf, beta_quantile
from modules.sampling.model_schedule import LcmSigmas
from modules.sampling.schedules import SCHEDULE_FUNCTIONS
from tests.sampling.k_diffusion_oracle import k_diffusion_sampling

# Recorded from A1111 with 10 and 20 steps, to four digits.
GOLDEN_10 = {
    "Uniform": "14.6146 7.8399 4.6092 2.9183 1.9502 1.3449 0.9324 0.6250 0.3687 0.0292 0",
    "Automatic": "14.6146 7.8399 4.6092 2.9183 1.9502 1.3449 0.9324 0.6250 0.3687 0.0292 0",
    "Normal": "14.6146 7.8399 4.6092 2.9183 1.9502 1.3449 0.9324 0.6250 0.3687 0.0292 0",
    "Karras": "14.6146 9.1029 5.4784 3.1686 1.7494 0.9141 0.4469 0.2014 0.0819 0.0292 0",
    "Exponential": "14.6146 7.3249 3.6712 1.8400 0.9222 0.4622 0.2317 0.1161 0.0582 0.0292 0",
    "Polyexponential": "14.6146 7.3249 3.6712 1.8400 0.9222 0.4622 0.2317 0.1161 0.0582 0.0292 0",
    "SGM Uniform": "14.6146 8.3072 5.0924 3.3251 2.2797 1.6156 1.1629 0.8319 0.5712 0.3437 0",
    "KL Optimal": "14.6146 4.5650 2.6329 1.7864 1.2948 0.9616 0.7116 0.5094 0.3356 0.1783 0.0292",
    "Align Your Steps": "14.6150 6.1135 3.5651 2.3939 1.6500 1.1358 0.7425 0.4450 0.1692 0.0290 0",
    "Simple": "14.6146 8.3028 5.0878 3.3211 2.2765 1.6129 1.1606 0.8299 0.5693 0.3417 0",
    "DDIM": "8.3907 5.1344 3.3478 2.2929 1.6237 1.1682 0.8357 0.5741 0.3462 0.0413 0",
    "Beta": "14.6146 13.9278 12.4910 10.5976 8.4424 6.2014 4.0462 2.1528 0.7160 0.0292 0",
}
GOLDEN_20 = {
    "Uniform": "14.6146 10.7468 8.0815 6.2049 4.8557 3.8654 3.1238 2.5572 2.1157 1.7648 1.4806 1.2458 1.0481 0.8784 "
    "0.7297 0.5964 0.4736 0.3555 0.2322 0.0292 0",
    "Karras": "14.6146 11.7254 9.3402 7.3836 5.7894 4.4998 3.4648 2.6408 1.9909 1.4832 1.0908 0.7909 0.5647 0.3964 "
    "0.2730 0.1842 0.1213 0.0779 0.0485 0.0292 0",
}
CASES = [(10, *item) for item in GOLDEN_10.items()] + [(20, *item) for item in GOLDEN_20.items()]


@pytest.mark.parametrize(("steps", "label", "golden"), CASES)
def test_golden_levels(steps: int, label: str, golden: str) -> None:
    assert sigma_schedule(label, steps) == pytest.approx([float(value) for value in golden.split()], abs=6e-5)


def test_golden_sdxl_align_your_steps() -> None:
    golden = "14.6150 5.9634 3.3390 1.8550 1.1023 0.6750 0.4311 0.2606 0.1225 0.0290 0"
    found = build_sigmas(resolve_schedule("Align Your Steps"), 10, sd1_sigmas(), SamplerOptions(), step_tables="SDXL")
    assert found.tolist() == pytest.approx([float(value) for value in golden.split()], abs=6e-5)


def test_every_schedule_of_the_table_has_its_function() -> None:
    assert set(SCHEDULE_FUNCTIONS) == set(schedule_labels())


# Uneven ones: DDIM's may be longer than requested, and a single Align Your Steps level is the smallest.
@given(label=st.sampled_from(schedule_labels()), steps=st.integers(1, 160))
def test_levels_fall_to_zero_and_have_the_requested_length(label: str, steps: int) -> None:
    sigmas = sigma_schedule(label, steps)
    assert all(math.isfinite(sigma) for sigma in sigmas)
    assert sigmas == sorted(sigmas, reverse=True)
    assert (sigmas[-1] == 0) == (label != "KL Optimal")
    if label == "DDIM":
        assert len(sigmas) == len(range(1, 1000, max(1000 // steps, 1))) + 1 >= steps + 1
    else:
        assert len(sigmas) == steps + 1


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_equals_k_diffusion_to_the_last_bit(steps: int) -> None:
    oracle, model = k_diffusion_sampling(), sd1_sigmas()
    ends = model.sigma_min, model.sigma_max
    assert sigma_schedule("Karras", steps) == oracle.get_sigmas_karras(steps, *ends).tolist()
    assert sigma_schedule("Exponential", steps) == oracle.get_sigmas_exponential(steps, *ends).tolist()
    assert sigma_schedule("Polyexponential", steps) == oracle.get_sigmas_polyexponential(steps, *ends).tolist()


def test_one_step() -> None:
    top = sd1_sigmas().sigma_max
    for label in ("Uniform", "Karras", "Exponential", "SGM Uniform", "Normal", "Simple", "Beta", "Turbo"):
        assert sigma_schedule(label, 1) == pytest.approx([top, 0], rel=1e-6), label
    assert sigma_schedule("KL Optimal", 1) == pytest.approx([top, sd1_sigmas().sigma_min], rel=1e-5)
    assert sigma_schedule("Align Your Steps", 1) == pytest.approx([0.029, 0], rel=1e-6)


def test_tables_are_used_as_they_are_at_their_own_length() -> None:
    assert sigma_schedule("Align Your Steps", 11)[:3] == pytest.approx([14.615, 6.475, 3.861])
    assert sigma_schedule("Align Your Steps 32", 32)[1] == pytest.approx(11.23951352)
    assert sigma_schedule("Align Your Steps GITS", 11)[1] == pytest.approx(4.617)


def test_beta_lies_on_scipys_quantiles() -> None:
    options = SamplerOptions(beta_dist_alpha=0.5, beta_dist_beta=0.9)
    found = build_sigmas(resolve_schedule("Beta"), 12, sd1_sigmas(), options).tolist()
    low, high = sd1_sigmas().sigma_min, sd1_sigmas().sigma_max
    expected = [low + stats.beta.ppf(q, 0.5, 0.9) * (high - low) for q in 1 - np.linspace(0, 1, 12)]
    assert found == pytest.approx([*expected, 0], rel=1e-6)


def test_turbo_walks_the_ends_of_equal_stretches() -> None:
    levels = sd1_sigmas().sigmas
    assert sigma_schedule("Turbo", 4) == pytest.approx([*levels[[999, 749, 499, 249]].tolist(), 0], rel=1e-5)


def built(label: str, steps: int, options: SamplerOptions, **given: Any) -> list[float]:
    found: list[float] = build_sigmas(resolve_schedule(label), steps, sd1_sigmas(), options, **given).tolist()
    return found


def test_sigma_settings_replace_the_models_ends() -> None:
    options = SamplerOptions(sigma_min=0.1, sigma_max=8.0)
    for label in ("Karras", "Exponential", "Polyexponential", "KL Optimal", "Beta"):
        positive = [sigma for sigma in built(label, 10, options) if sigma > 0]
        assert positive[0] == pytest.approx(8, rel=1e-5) and positive[-1] == pytest.approx(0.1, rel=1e-4), label
    for label in ("Normal", "SGM Uniform"):
        assert built(label, 10, options)[0] == pytest.approx(8, rel=1e-4), label
    for label in ("Uniform", "Simple", "DDIM", "Align Your Steps", "Turbo"):
        assert built(label, 10, options) == built(label, 10, SamplerOptions()), label


def test_rho_bends_only_the_schedules_that_have_one() -> None:
    options = SamplerOptions(rho=3.0)
    oracle, ends = k_diffusion_sampling(), (sd1_sigmas().sigma_min, sd1_sigmas().sigma_max)
    assert built("Karras", 8, options) == oracle.get_sigmas_karras(8, *ends, rho=3.0).tolist()
    assert built("Polyexponential", 8, options) == oracle.get_sigmas_polyexponential(8, *ends, rho=3.0).tolist()
    for schedule in SCHEDULES:
        if schedule.default_rho == -1:
            assert built(schedule.label, 8, options) == built(schedule.label, 8, SamplerOptions()), schedule.label


def test_old_karras_sigmas_go_from_10_to_a_tenth_unless_set() -> None:
    old = SamplerOptions(use_old_karras_scheduler_sigmas=True)
    assert built("Karras", 5, old)[:-1] == pytest.approx(
        k_diffusion_sampling().get_sigmas_karras(5, 0.1, 10.0).tolist()[:-1]
    )
    assert built("Karras", 5, replace(old, sigma_max=4.0))[0] == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_discarding_the_penultimate_level(steps: int) -> None:
    longer = sigma_schedule("Karras", steps + 1)
    expected = [*longer[:-2], 0.0]
    assert built("Karras", steps, SamplerOptions(), discard_penultimate=True) == expected
    assert built("Karras", steps, SamplerOptions(always_discard_next_to_last_sigma=True)) == expected


def test_lcm_levels_come_from_its_own_50() -> None:
    model = LcmSigmas(sd1_sigmas())
    simple = build_sigmas(resolve_schedule("Simple"), 5, model, SamplerOptions())
    assert simple.tolist() == pytest.approx([*model.sigmas[[49, 39, 29, 19, 9]].tolist(), 0])


def test_a_name_in_any_spelling_and_an_unknown_one() -> None:
    assert sigma_schedule("sgmuniform", 7) == sigma_schedule("SGM Uniform", 7) == sigma_schedule("sgm_uniform", 7)
    with pytest.raises(UnknownScheduleError, match="did you mean 'Karras'"):
        sigma_schedule("Karas", 7)


@given(q=st.floats(1e-6, 1 - 1e-6), alpha=st.floats(0.05, 8), beta=st.floats(0.05, 8))
def test_beta_quantile_equals_scipy(q: float, alpha: float, beta: float) -> None:
    assert beta_quantile(q, alpha, beta) == pytest.approx(stats.beta.ppf(q, alpha, beta), rel=1e-7, abs=1e-12)


@given(x=st.floats(0, 1), alpha=st.floats(0.05, 8), beta=st.floats(0.05, 8))
def test_beta_cdf_equals_scipy(x: float, alpha: float, beta: float) -> None:
    assert beta_cdf(x, alpha, beta) == pytest.approx(stats.beta.cdf(x, alpha, beta), rel=1e-10, abs=1e-13)


def test_beta_needs_positive_shapes() -> None:
    with pytest.raises(ValueError, match="positive shape"):
        beta_quantile(0.5, 0.0, 1.0)
    assert torch.tensor(built("Beta", 150, SamplerOptions())).isfinite().all()
